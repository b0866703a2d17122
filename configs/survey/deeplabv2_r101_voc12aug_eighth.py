# DeepLab-v2 without its input scales, with the labels of an eighth of VOC 2012 aug.
_base_ = [
    '../_base_/protocols/voc12aug_321.py', '../_base_/schedules/sgd_poly_deeplabv2.py',
    '../_base_/models/deeplabv2_r101.py']
train_images = 1323
train_dataloader = dict(
    batch_size=10, dataset=dict(ann_file='ImageSets/UniMatch/1_8/labeled.txt'))
model = dict(
    data_preprocessor=dict(seg_pad_val={{_base_.ignore_index}}, size={{_base_.crop_size}}),
    decode_head=dict(
        num_classes={{_base_.num_classes}}, ignore_index={{_base_.ignore_index}}))
