"""What a record or a few statements show to somebody who was not there."""
