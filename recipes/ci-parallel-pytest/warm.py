"""Runs once, before the snapshot: whatever happens here, no child has to do again.

Imports alone leave much undone: pandas imports parsers and date code at the first use, scikit-learn
compiles its parameter checks at the first fit, pytest scans installed plugins at its first session.
"""
import contextlib
import io
import os
import shutil
import sys
import tempfile

import numpy as np
import pandas as pd
import pytest
from forkd_runtime.beside import beside
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs, make_classification
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier


def warm_numpy():
    a = np.random.default_rng(0).normal(size=(8, 8)) + 8 * np.eye(8)
    np.testing.assert_allclose(a @ np.linalg.solve(a, a[0]), a[0])
    np.linalg.svd(a)
    np.abs(np.fft.rfft(a[0])).argsort(kind="stable")


def warm_pandas():
    frame = pd.DataFrame({"k": list("abab"), "l": list("ccdd"), "v": [1.0, None, 3.0, 4.0]})
    frame.groupby(["k", "l"])["v"].sum().unstack()
    frame.groupby("k")["v"].agg(["sum", "mean", "size"])
    frame.groupby("k")["v"].transform(lambda part: part.fillna(part.mean()))
    frame.pivot_table(index="k", columns="l", values="v", aggfunc="sum")
    frame.merge(frame, on="k", how="left")
    hours = pd.Series(range(48), index=pd.date_range("2024-01-01", periods=48, freq="H"))
    hours.resample("D").sum()
    hours.rolling(3).mean().dropna()
    again = pd.read_csv(io.StringIO(frame.to_csv(index=False)))
    pd.testing.assert_frame_equal(again, frame)
    repr(frame)


def warm_sklearn():
    x, y = make_classification(n_samples=60, n_features=6, random_state=0)
    train_x, _, train_y, _ = train_test_split(x, y, random_state=0)
    make_pipeline(StandardScaler(), LogisticRegression()).fit(train_x, train_y).predict(x)
    cross_val_score(DecisionTreeClassifier(random_state=0), x, y, cv=3)
    Ridge().fit(x, y).score(x, y)
    PCA(n_components=2).fit_transform(x)
    KMeans(n_clusters=2, n_init=1, random_state=0).fit_predict(make_blobs(random_state=0)[0])


WARM_TEST = '''
import pytest

@pytest.fixture
def value():
    return 1

def test_passes(value):
    assert value == 1

def test_raises():
    with pytest.raises(ValueError, match="no"):
        raise ValueError("no")
'''


def warm_pytest():
    """One small session; afterwards nothing of it is left in this interpreter."""
    modules, path, cwd = set(sys.modules), list(sys.path), os.getcwd()
    place = tempfile.mkdtemp()
    try:
        test = os.path.join(place, "test_forkd_warm_up.py")
        with open(test, "w") as file:
            file.write(WARM_TEST)
        with contextlib.redirect_stdout(io.StringIO()) as output:
            status = pytest.main(["-q", "-p", "no:cacheprovider", "--rootdir", place, test])
        if status != 0:
            raise RuntimeError("the warm-up session failed:\n" + output.getvalue())
    finally:
        os.chdir(cwd)
        sys.path[:] = path
        for name in set(sys.modules) - modules:
            if name.startswith("test_forkd_warm_up"):
                del sys.modules[name]
        shutil.rmtree(place)


def collect_suite():
    """The suite's own session, up to the first test: the children go on from there."""
    with beside():
        import forkd_pytest.slice  # noqa: F401 (what the children call)
        from forkd_pytest import parent
    parent.collect(["-q", "-p", "no:cacheprovider", "tests"])
    session = parent.held()
    if isinstance(session, parent.NotHeld):
        raise RuntimeError("the suite was not collected: " + session.reason)


warm_numpy()
warm_pandas()
warm_sklearn()
warm_pytest()
collect_suite()
