"""What computes: base models as they were pretrained, and the networks that train on top of them."""
