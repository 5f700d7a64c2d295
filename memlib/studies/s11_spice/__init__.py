"""Does a fully analog network work in ngspice as its behavioural model says, and what must its circuit provide?"""
