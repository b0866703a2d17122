# PASCAL VOC 2012 alone: 1464 train and 1449 val images.
_base_ = './voc12aug.py'
train_images = 1464
train_dataloader = dict(dataset=dict(extra_ann_file=''))
