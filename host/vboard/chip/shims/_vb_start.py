import _vb_boot

_vb_boot.start(globals())
del _vb_boot
