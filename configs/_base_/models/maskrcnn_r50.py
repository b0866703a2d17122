# Mask R-CNN of torchvision as a semantic segmenter; it enlarges images to a shorter side of 800 pixels.
# The data set's config adds num_classes, ignore_index and the preprocessor's size.
init_note = 'backbone ImageNet-1k (torchvision download), rest random'
model = dict(
    type='MaskRCNNSegmentor',
    data_preprocessor=dict(
        type='SegDataPreProcessor',
        mean=[0.0, 0.0, 0.0],  # torchvision normalises
        std=[255.0, 255.0, 255.0],
        bgr_to_rgb=True,
        pad_val=0),
    detector=dict(weights_backbone='IMAGENET1K_V1'))
