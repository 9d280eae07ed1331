def replace_member(b, k, v):
    return b
