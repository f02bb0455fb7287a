"""The tokenisation, once: compiled kernels that read Arrow strings in place.

docs/tokenisation.md says what a word is. Statistics for signals count words their own way
(as the rules they serve define them) and live in `curate.text.statistics`.
"""

from curate.text.arrow import TextView, text_view
from curate.text.jaccard import shingle_sets, similarities, text_similarity
from curate.text.minhash import SCHEMES, Sketch, permutations_of, sketch, to_datasketch
from curate.text.words import SHINGLE_WORDS, split_words, word_ngrams, word_sequences

__all__ = [
    "SCHEMES",
    "SHINGLE_WORDS",
    "Sketch",
    "TextView",
    "permutations_of",
    "shingle_sets",
    "similarities",
    "sketch",
    "split_words",
    "text_similarity",
    "text_view",
    "to_datasketch",
    "word_ngrams",
    "word_sequences",
]
