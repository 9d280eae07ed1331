def markdown(found): return ""
def publish(found): pass
