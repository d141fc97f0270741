"""The tuners that PEFT does not have, one file each, registered into it."""
