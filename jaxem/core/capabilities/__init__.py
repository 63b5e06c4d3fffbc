"""What a family may be able to do beside EM, each as a small protocol.

A family has the methods of a protocol or it has not. The functions beside a protocol take any
family: they are what a plain one does, or the error for one that lacks it.
"""
