# Augmentation of DeepLab-v2: one of five scales of the original size, a crop of 321, a flip; no
# change of colors. Smaller images are padded by the preprocessor: mean and 255, right and below.
deeplabv2_crop = (321, 321)
deeplabv2_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadLabels'),
    dict(
        type='RandomChoice',
        transforms=[
            [dict(type='AlignedResize', scale_factor=0.5, keep_ratio=True)],
            [dict(type='AlignedResize', scale_factor=0.75, keep_ratio=True)],
            [dict(type='AlignedResize', scale_factor=1.0, keep_ratio=True)],
            [dict(type='AlignedResize', scale_factor=1.25, keep_ratio=True)],
            [dict(type='AlignedResize', scale_factor=1.5, keep_ratio=True)],
        ]),
    dict(type='RandomCrop', crop_size=deeplabv2_crop),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs'),
]
