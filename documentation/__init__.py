"""What the documentation's site is made of beside its pages: the reference, written from the code when it is built."""
