"""What happens at night: training on corrections, and whether its result becomes champion."""
