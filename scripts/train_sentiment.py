"""Train the sentiment model that ships with Mech-Exo, and say what it is worth on texts it never saw.

    python scripts/train_sentiment.py            writes mech_exo/datasource/sentiment/linear.npz
    python scripts/train_sentiment.py --check    only evaluates, writes nothing

Weights come from SEntFiN 1.0 (Sinha et al., MIT licence) and from sentences drawn from scripts/sentiment_templates.txt.
FiQA 2018 and the sentences in tests/datasource/sentiment_sentences.tsv are for evaluation only.
Needs scikit-learn (pip install "mech-exo[ml]"). The same input gives the same weights.
"""

import argparse
import random
import re
import sys
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import polars as pl  # noqa: E402
import scipy.sparse as sp  # noqa: E402
from sklearn.linear_model import LogisticRegression  # noqa: E402

from mech_exo.datasource.sentiment.linear import FILE, LinearModel, Weights, chars, grams  # noqa: E402
from mech_exo.datasource.sentiment.signals import features  # noqa: E402
from mech_exo.datasource.sentiment.text import tokens  # noqa: E402

DATA = ROOT.parent / "shared" / "data" / "text"
SENTENCES = ROOT / "tests" / "datasource" / "sentiment_sentences.tsv"
TEMPLATES = ROOT / "scripts" / "sentiment_templates.txt"
LABELLED = re.compile(r"""['"](.*?)['"]: '(positive|negative|neutral)'""")
LABELS = {"positive": 1, "neutral": 0, "negative": -1, "+": 1, "=": 0, "-": -1}
SEED = 20181
PER_TEMPLATE = 60
WORDS, PARTS = 1.0, 1.0  # scale of the n-grams beside the signals: the smaller, the stronger their penalty
NOBODY: frozenset[str] = frozenset()
LEAST = {"words": 4, "chars": 10}
SOFTNESS = 1.0  # of the L2 penalty; the larger, the freer the weights

SLOTS = {
    "good": [
        "Net sales",
        "Operating profit",
        "Turnover",
        "Profit before taxes",
        "Revenue",
        "Net profit",
        "EBITDA",
        "EBIT",
        "Cash flow from operations",
        "Pretax profit",
        "Net interest income",
        "Sales of the segment",
        "Earnings per share",
        "Order intake",
        "Profit for the period",
        "Gross profit",
    ],
    "good2": [
        "Operating margin",
        "The gross margin",
        "Market share",
        "The load factor",
        "The equity ratio",
        "Return on equity",
        "The occupancy rate",
    ],
    "profit": ["profit", "net profit", "operating profit", "pretax profit", "pre-tax profit"],
    "lossname": ["loss", "net loss", "operating loss", "pretax loss", "pre-tax loss"],
    "cost": [
        "Personnel costs",
        "Net debt",
        "Loan losses",
        "Operating expenses",
        "Fixed costs",
        "Raw material costs",
        "Impairment losses",
        "Interest expenses",
    ],
    "co": [
        "The company",
        "The group",
        "Nordwerk",
        "Havelin Oyj",
        "Talvia",
        "Brandt & Lund",
        "Kivisaari",
        "Oststrom AB",
        "Merisol",
        "The Finnish company",
    ],
    "period": [
        "2006",
        "2008",
        "the third quarter",
        "the first half of 2009",
        "the corresponding period in 2007",
        "January-September",
        "the last quarter",
    ],
    "place": [
        "Poland",
        "Lahti",
        "northern Sweden",
        "China",
        "Estonia",
        "Germany",
        "the Baltic countries",
        "Oulu",
        "Brazil",
        "St Petersburg",
    ],
    "product": [
        "valves",
        "paper machines",
        "software",
        "frozen food",
        "packaging board",
        "mobile networks",
        "wood products",
        "cranes",
        "steel",
        "textiles",
    ],
    "person": ["Ms Virtanen", "Peter Holm", "CEO Markku Salo", "the managing director", "Anna Lind", "Mr Korhonen"],
    "date": ["May 2010", "the second quarter of 2009", "autumn 2011", "1 January 2008", "the end of the year", "March"],
    "year": ["2005", "2007", "2009", "2010", "2012"],
    "burden": [
        "Unemployment",
        "Jobless claims",
        "Debt",
        "Net debt",
        "Net loss",
        "Loss",
        "Costs",
        "Bad loans",
        "Deficit",
        "Operating loss",
        "Expenses",
    ],
    "time": ["noon", "2 p.m.", "the close"],
}


def drawn(chance: random.Random) -> dict[str, str]:
    """One value for every slot."""
    low = chance.uniform(0.3, 80.0)
    high = low * chance.uniform(1.05, 4.0)
    currency, unit = chance.choice(["EUR", "EUR", "EUR", "USD", "SEK"]), chance.choice(["mn", "mn", "million", "bn", "m"])
    share = chance.uniform(2.0, 40.0)
    values = {name: chance.choice(choices) for name, choices in SLOTS.items()}
    return values | {
        "hi": f"{currency} {high:.1f} {unit}",
        "lo": f"{currency} {low:.1f} {unit}",
        "hip": f"{share * 1.3:.1f}",
        "lop": f"{share:.1f}",
        "pct": f"{chance.uniform(1, 45):.{chance.choice([0, 1])}f}",
        "n": str(chance.randint(10, 900)),
        "n2": str(chance.randint(3, 40)),
        "n3": f"{chance.randint(1000, 9_000_000):,}",
        "price": f"EUR {high / 5:.2f}",
        "lowprice": f"EUR {low / 5:.2f}",
    }


def sentence(pattern: str, chance: random.Random) -> str:
    """One sentence of a template."""
    amounts = drawn(chance)
    chosen = re.sub(r"\[([^]]*)\]", lambda found: chance.choice(found[1].split("|")), pattern)
    filled = re.sub(r"\{(\w+)\}", lambda slot: chance.choice(SLOTS[slot[1]]) if slot[1] in SLOTS else amounts[slot[1]], chosen)
    return " ".join(filled.split())


def templates() -> list[tuple[str, int, frozenset[str]]]:
    """Sentences drawn from the templates, and their labels."""
    chance = random.Random(SEED)
    lines = [line for line in TEMPLATES.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return [(sentence(line[2:], chance), LABELS[line[0]], NOBODY) for line in lines for _ in range(PER_TEMPLATE)]


def sentfin() -> list[tuple[str, int, frozenset[str]]]:
    """SEntFiN's headlines: positive or negative when one entity is and none is the contrary; headlines with both are left out.

    The third is the words of the entities, which the model must not learn: the next year's losers have other names.
    """
    found = []
    frame = pl.read_csv(DATA / "sentfin_v1.csv.gz")
    for text, decisions in frame.select("Title", "Decisions").iter_rows():
        entities = LABELLED.findall(decisions)
        said = {LABELS[label] for _, label in entities}
        if said and not {1, -1} <= said:
            found.append((text, sum(said), frozenset(word for name, _ in entities for word in tokens(name))))
    return found


def fiqa() -> tuple[list[str], np.ndarray]:
    """FiQA's headlines and posts with their scores, a row for each target as published."""
    frame = pl.read_csv(DATA / "fiqa2018_train.csv.gz")
    return frame["sentence"].to_list(), frame["sentiment_score"].to_numpy()


def own_sentences() -> list[tuple[str, str, int]]:
    """The hand-written evaluation sentences: style, text, label."""
    lines = [line.split("\t") for line in SENTENCES.read_text("utf-8").splitlines() if line and not line.startswith("#")]
    return [(style, text, LABELS[label]) for label, style, text in lines]


def vocabulary(sets: list[list[str]], least: int) -> dict[str, int]:
    """What stands in at least so many headlines, in alphabetical order."""
    counts = Counter(item for found in sets for item in set(found))
    return {item: place for place, item in enumerate(sorted(item for item, count in counts.items() if count >= least))}


def matrix(sets: list[list[str]], known: dict[str, int]) -> sp.csr_matrix:
    """One row per headline: 1/√n at each known item, n = how many items the headline has."""
    rows = [[known[item] for item in found if item in known] for found in sets]
    ends = np.cumsum([0, *map(len, rows)])
    values = np.concatenate([np.full(len(row), 1.0 / np.sqrt(max(len(found), 1))) for row, found in zip(rows, sets, strict=True)])
    return sp.csr_matrix((values, np.concatenate([np.array(row, int) for row in rows]), ends), shape=(len(sets), len(known)))


def train(examples: list[tuple[str, int, frozenset[str]]]) -> LinearModel:
    """Fit the model on ``examples``."""
    split = [tokens(text) for text, _, _ in examples]
    common = [[word for word in words if word not in names] for words, (_, _, names) in zip(split, examples, strict=True)]
    words, parts = [sorted(grams(found)) for found in common], [chars(found) for found in common]
    known, pieces = vocabulary(words, LEAST["words"]), vocabulary(parts, LEAST["chars"])
    inputs = sp.hstack([sp.csr_matrix(features(split)), WORDS * matrix(words, known), PARTS * matrix(parts, pieces)]).tocsr()
    fitted = LogisticRegression(C=SOFTNESS, max_iter=3000).fit(inputs, [label for _, label, _ in examples])
    weights = fitted.coef_.T.astype(np.float32)
    own = features([]).shape[1]
    middle = own + len(known)
    found = Weights(
        fitted.intercept_.astype(np.float32),
        weights[:own],
        tuple(known),
        WORDS * weights[own:middle],
        tuple(pieces),
        PARTS * weights[middle:],
    )
    return LinearModel(found, "in training")


def accuracy(model: LinearModel, texts: list[str], labels: list[int]) -> float:
    """Share of the labels that the most probable class meets."""
    return float(np.mean(model.probabilities(texts).argmax(axis=1) - 1 == np.array(labels)))


def evaluate(model: LinearModel, trained_on: str, *, errors: bool = False) -> None:
    """Print what ``model`` is worth on the texts that are never trained on."""
    texts, scores = fiqa()
    found = model.score(texts)
    print(f"trained on {trained_on}")
    classes = np.where(scores > 0.2, 1, np.where(scores < -0.2, -1, 0)).tolist()
    print(f"  FiQA 2018, {len(texts)} headlines and posts: correlation {np.corrcoef(found, scores)[0, 1]:.3f}")
    print(f"    as three classes (a score beyond ±0.2): accuracy {accuracy(model, texts, classes):.3f}")
    own = own_sentences()
    for style in ("release", "post", "unseen"):
        lines = [(text, label) for kind, text, label in own if kind == style]
        guess = model.probabilities([text for text, _ in lines]).argmax(axis=1) - 1
        neutral = float(np.mean([label == 0 for _, label in lines]))
        right = float(np.mean([one == label for one, (_, label) in zip(guess, lines, strict=True)]))
        print(f"  own sentences, {len(lines)} of style {style}: accuracy {right:.3f} (always neutral {neutral:.3f})")
        if errors:
            for one, (text, label) in zip(guess, lines, strict=True):
                if one != label:
                    print(f"    {label:+d} taken for {one:+d}: {text}")


def cross_validate(examples: list[tuple[str, int, frozenset[str]]], extra: list[tuple[str, int, frozenset[str]]]) -> float:
    """Accuracy on SEntFiN's headlines when each fifth is left out of the training in turn."""
    right = []
    for fold in range(5):
        model = train([item for place, item in enumerate(examples) if place % 5 != fold] + extra)
        left = examples[fold::5]
        right.append(accuracy(model, [text for text, _, _ in left], [label for _, label, _ in left]))
    return float(np.mean(right))


def main() -> None:
    """Train, evaluate, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output", type=Path, default=ROOT / "mech_exo" / "datasource" / "sentiment" / FILE, help="where to write the weights"
    )
    parser.add_argument("--check", action="store_true", help="evaluate only, write nothing")
    parser.add_argument("--errors", action="store_true", help="print the own sentences that are taken wrongly")
    parser.add_argument("--fast", action="store_true", help="skip the cross-validation and the partial models")
    options = parser.parse_args()
    headlines, drawn_sentences = sentfin(), templates()
    if not options.fast:
        evaluate(train(headlines), "SEntFiN")
        evaluate(train(drawn_sentences), "templates")
        print(f"SEntFiN itself, a fifth left out in turn: accuracy {cross_validate(headlines, drawn_sentences):.3f}")
    model = train(headlines + drawn_sentences)
    evaluate(model, "SEntFiN and templates", errors=options.errors)
    if not options.check:
        model.weights.save(options.output)
        print(f"wrote {options.output}, {options.output.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
