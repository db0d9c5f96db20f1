"""What all tools train: sizes, and the arguments of a script."""
import argparse

BATCH, SIDE, CLASSES, WIDTH, DEPTH = 32, 28, 10, 30, 6

parser = argparse.ArgumentParser()
parser.add_argument("--model", choices=["dnn", "cnn"], default="dnn")
parser.add_argument("--filters", type=int, default=8)
parser.add_argument("--replicates", type=int, default=10)
parser.add_argument("--steps", type=int, default=100, help="steps of one measurement")
parser.add_argument("--mode", default="", help="a way of running that the script knows; it is told the name")
arguments = parser.parse_args()


def filters():
    """Filters of each convolution, 0 without convolutions."""
    return arguments.filters if arguments.model == "cnn" else 0


def features():
    """What the first dense layer reads: pixels, or the filters of 3 x 3 pixels that three poolings leave of 28 x 28."""
    return 9 * filters() if filters() else SIDE * SIDE
