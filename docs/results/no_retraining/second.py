"""What a second seed says of every comparison of the page."""

from .measured import holm
from .sections import table, verdict, word


def second_seed(book, other, firsts, seconds):
    """Lines of the page: comparisons that both seeds made, and each conclusion that is another."""
    title = ["## Does a second seed say the same?", ""]
    absent = [name for name, run in other.of.items() if not run]
    only_there = [name for name, run in book.of.items() if not run and other.of[name]]
    rows, flips, alone, words, total, same = [], [], [], [], 0, 0
    for one, two in zip(firsts, seconds):
        both = [key for key in one.compared if key in two.compared]
        if not both:
            continue
        # Holm's correction anew over what both seeds have, so that both are judged alike.
        for section in (one, two):
            for kind in dict.fromkeys(kind for kind, _, _ in both):
                holm([section.compared[key] for key in both if key[0] == kind])
        told, agree = 0, 0
        for key in both:
            first, second = one.compared[key], two.compared[key]
            agree += (first.mean >= 0) == (second.mean >= 0)
            told += first.holm and second.holm
            if first.holm and second.holm and (first.mean > 0) != (second.mean > 0):
                flips.append([one.title, key[1], key[0], key[2], first, second])
            elif first.holm != second.holm:
                alone.append([one.title, key[1], key[0], key[2], first, second])
        total, same = total + len(both), same + agree
        mine = [row for row in alone if row[0] == one.title]
        for kind in dict.fromkeys(kind for kind, _, _ in both):
            left, right = ([section.compared[key] for key in both if key[0] == kind] for section in (one, two))
            if word(left) != word(right):
                words.append([one.title, kind, f"{word(left).lower()}: {verdict(left)}", f"{word(right).lower()}: {verdict(right)}"])
        rows.append([one.title, len(both), agree, told, len([row for row in flips if row[0] == one.title]), len(mine)])
    if not rows:
        return [*title, "Not measured yet.", ""]
    sentence = (
        f"**{'Yes' if not flips and not words else 'Mostly' if not flips else 'No'}: of {total} comparisons that both seeds made {len(flips) or 'none'}"
        f" {'flips' if len(flips) == 1 else 'flip'} from better to worse or back, {len(alone)} are told apart by one seed alone, and in {same} both means"
        f" have the same sign; the answer in a word is another in {len(words) or 'none'} of the kinds of comparison.**"
    )
    lines = [*title, sentence, ""]
    if absent or only_there:
        gone, there = (", ".join(f"`{name}`" for name in names) or "none" for names in (absent, only_there))
        lines += [f"Missing with seed 2: {gone}; with seed 1 and made with seed 2: {there}.", ""]
    else:
        lines += ["No run is missing with either seed.", ""]
    lines += [*table(["question", "comparisons", "same sign", "told apart by both", "flip", "by one seed alone"], rows), ""]
    if words:
        lines += ["Where the answer in a word is another, over what both seeds have:", "", *table(["question", "comparison", "seed 1", "seed 2"], words), ""]
    if flips:
        lines += ["Every comparison that flips:", "", *table(["question", "run", "comparison", "where", "seed 1", "seed 2"], flips), ""]
    against = [row for row in alone if (row[4].mean >= 0) != (row[5].mean >= 0)]
    if against:
        lines += ["Every comparison that one seed tells apart while the mean of the other has the opposite sign:", "",
                  *table(["question", "run", "comparison", "where", "seed 1", "seed 2"], against), ""]
    if rest := [row for row in alone if row not in against]:
        lines += ["<details><summary>The others that one seed alone tells apart, bold where it does</summary>", "",
                  *table(["question", "run", "comparison", "where", "seed 1", "seed 2"], rest), "", "</details>", ""]
    lines += ["Both seeds are corrected over the comparisons that both have, so a bold cell here may not be one above.", ""]
    return lines
