"""What command lines offer, by name: they are parsed before anything heavy is imported.

A plain list is declared here alone. Where a name stands for code or settings, the module of these
has a table with the same names, which ``tests/core/test_choices.py`` compares.
"""

# Names alone; the modules that use them import them from here.
CLASS_WEIGHTS = ('median', 'effective', 'complement')
FOLD_POOLS = ('train', 'train+val', 'train+val+test')
LABEL_FORMATS = ('label-studio', 'cvat')
NAN_ACTIONS = ('stop', 'skip')
NETWORKS = ('teacher', 'student', 'peer', 'segmentor')  # the first in a file is tested
REGIONS = ('windows', 'superpixels')
DROPOUT_PASSES = 10

# Keys of tables.
ARCHIVES = ('voc2012',)
AXES = ('axial', 'coronal', 'sagittal')
BENCHMARKS = (
    'deform_conv', 'metric', 'model', 'crf', 'few_labels', 'memory', 'inference', 'attentions',
    'upsamplers', 'start', 'forms', 'evaluation', 'throughput', 'growth', 'growth_data', 'training',
    'losses', 'operations', 'ranks', 'report',
)  # fmt: skip
CRF_SETTINGS = (
    'deeplabv2_resnet101', 'deeplabv2_vgg16', 'deeplab_caffe', 'deeplabv1', 'deeplabv1_msc',
    'deeplabv1_coco', 'camvid', 'pydensecrf',
)  # fmt: skip
EXPORT_FORMATS = ('onnx', 'torch_export', 'torchscript', 'openvino')
PSEUDO_LABELS = ('meanteacher', 'fixmatch', 'unimatch', 'cps')
SCORES = ('least_confidence', 'margin', 'entropy', 'bald', 'variance', 'flip')
SEMI = (*PSEUDO_LABELS, 'adversarial')
SHAPES = ('shapes21', 'shapes7')
TRACKERS = ('tensorboard', 'wandb', 'mlflow')
