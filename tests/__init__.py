import gc

# The modules and the collected tests are millions of objects that live to the end. Looking through them again and again
# takes a fifth of the time of collecting.
gc.set_threshold(100_000, 50, 100)
