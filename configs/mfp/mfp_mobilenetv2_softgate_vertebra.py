# FSM's gate with the gradient of its sigmoid: does it matter?
_base_ = './mfp_mobilenetv2_vertebra.py'
model = dict(decode_head=dict(context=dict(type='AFFP', gate='straight_through')))
