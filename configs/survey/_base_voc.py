# VOC 2012 with SBD's masks in one protocol for all networks of the comparison, SegNet's rows among
# them: crops of 320, batch 8, 40k iterations. Rows add the model.
_base_ = '../segnet/_base_voc.py'
