"""New names of renamed types and configs, for runs that recorded the old names."""

from typing import Any

from mmengine.config import Config

RENAMED = {
    'RepoAugment': 'LetterboxAugment',
    'RepoLrHook': 'FlatCosineLrHook',
    'UNetValid': 'UnpaddedUNet',
    'ValidSegHead': 'UnpaddedSegHead',
}

_VOC = """
    deeplabv3_r50 deeplabv3plus_mobilenetv2 deeplabv3plus_xception encnet_r50
    fcn16s_vgg16 fcn32s_vgg16 fcn8s_vgg16 fcn8s_vgg16_atonce fmsi_convnext_tiny
    fmsi_timm_xception65 fmsi_xception_defconv3 fmsi_xception_defconv5
    fmsi_xception_defconv5_flow fmsi_xception_defconv5_flow_ggca fmsi_xception_lr7e3
    fmsi_xception_rates5 fmsi_xception_repo fmsi_xception_repo_frozen hrnet_w18
    maskrcnn_r50 nonlocal_r50 pspnet_mobilenetv2 resegnet resegnet_bce segformer_b0
    segmenter_vitb16 segnet_vgg16 setr_pup_vitl16 swinunet transunet unet_vgg16
    upernet_vitb16
"""
CONFIGS = {
    **{f'{name}_voc': f'{name}_voc12aug' for name in _VOC.split()},
    'deeplabv2_vgg16_aspp_voc12': 'deeplabv2_vgg16_aspp_voc12aug',
    'deeplabv2_vgg16_largefov_voc12': 'deeplabv2_vgg16_largefov_voc12aug',
    'deeplabv2_vgg16_largefov_voc12_crf': 'deeplabv2_vgg16_largefov_voc12aug_crf',
    'deeplabv3plus_xception_camvid': 'deeplabv3plus_xception_camvid180',
    'fmsi_xception_camvid': 'fmsi_xception_camvid180',
    'unet_valid_bn_voc': 'unet_unpadded_bn_voc12aug',
    'unet_valid_bn_camvid180': 'unet_unpadded_bn_camvid180',
    'unet_valid_isbi2012': 'unet_unpadded_isbi2012',
}


def today_config(name: Any) -> Any:
    """Return the current name of a config; a name that was not changed is returned as it is."""
    return CONFIGS.get(name, name) if isinstance(name, str) else name


def renew_types(cfg: Config) -> None:
    """Replace old names of types in a config, at any depth.

    Runs of earlier versions have such a config in their folder and in their checkpoints. Only the
    names of the types have changed.

    Args:
        cfg: Config, changed in place.
    """
    _renew(cfg._cfg_dict)


def _renew(value: Any) -> None:
    if isinstance(value, dict):
        kind = value.get('type')
        if isinstance(kind, str) and kind in RENAMED:
            value['type'] = RENAMED[kind]
        value = list(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            _renew(item)
