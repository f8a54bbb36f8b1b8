"""Fleet engines, hawkBit and gooseBit, by the interfaces that they have for operators."""
