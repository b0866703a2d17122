# Rounds of active learning on CamVid, from a twentieth to six twentieths of the labels, each round
# from ImageNet. The pool are the 367 training images; README.md has the command.
_base_ = './deeplabv3plus_mobilenetv2_pretrained_camvid180.py'
active_learning = dict(
    strategies=['random', 'random_foreground', 'entropy', 'k_centre', 'clasp_pe'],
    seeds=[0, 1, 2],
    rounds=6,
    budget='5%')
