"""What ``python -m gradtx sweep --help`` says."""

HELP = """Train many models at once on PROBLEM, in one compiled program, and compare them.

Prints the best and the worst, and writes the table, the curves and a report. A sweep that is killed goes on when
the same command is given again, and ends as if nothing had happened; one that is finished is read back.

\b
PROBLEM is one of
  digits, iris, wine, breast_cancer, mnist1d
  data.npz          arrays x and y, and x_test and y_test or a fifth is held out;
                    whole numbers or words in y: classes; else regression
  file.py:function  a function that returns loss, params, data, and if it likes
                    evaluate: loss(params, batch) or loss(params, batch, l2=0.0),
                    params a tree of arrays or a function of a key,
                    evaluate(params) -> {"accuracy": ...}

\b
--optimizer adam    with the learning rates of --grid or --random; or a call:
--optimizer "chain(clip(1.0), sgd(0.1, momentum=0.9))"
                    Give it again for another one: all are in one table.

\b
--grid learning_rate=1e-4:1e-1:log:16    low:high:log|lin:count
--grid momentum=0,0.5,0.9                a list
--grid b1=1-1e-3:1e-1:log:4              1 - x, for decays: 0.999 ... 0.9
--grid learning_rate.peak_value=0.1,1    an argument of a schedule
--grid l2=0,1e-4                         a number that the loss takes

\b
--random learning_rate=1e-4:1e-1:log     low:high:log|lin|int
--random momentum=0,0.5,0.9              one of a list
--random b1=1-1e-3:1e-1:log              1 - x, for decays
                    With --grid: the whole grid at every draw.

\b
--halving [ETA]     again and again the best 1/ETA of the lanes go on (3 if not given)
--hyperband [ETA]   several halvings side by side
--population [EVERY]  the worst copy the best and change their numbers, every EVERY steps
"""

EXAMPLES = """\b
Examples:
  python -m gradtx sweep digits
      128 Adams, 16 learning rates by 8 of b1
  python -m gradtx sweep wine --optimizer adam --optimizer "sgd(0.1, momentum=0.9)" \\
      --grid learning_rate=1e-3:1:log:16 --seeds 3
      two optimizers, each with 16 rates, every point with three seeds
  python -m gradtx sweep data.npz --random learning_rate=1e-4:1e-1:log \\
      --random b1=1-1e-3:1e-1:log --draws 81 --halving
      81 draws; after every rung a third of them goes on
  python -m gradtx sweep problem.py:make --optimizer "adam(1e-3)" --grid l2=0,1e-4,1e-3
      your own loss, and a number that it takes
  python -m gradtx sweep digits --random learning_rate=1e-4:1:log --trials 200 --study digits.db
      Optuna proposes; start it in several terminals and they share the trials
"""
