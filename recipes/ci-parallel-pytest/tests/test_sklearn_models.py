"""Models: small fits with known outcomes; every random choice is seeded."""
import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.datasets import make_blobs, make_classification, make_regression
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, r2_score
from sklearn.model_selection import cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier


@pytest.fixture
def labelled():
    return make_classification(
        n_samples=240, n_features=8, n_informative=5, class_sep=1.5, random_state=3
    )


def test_logistic_regression_beats_guessing(labelled):
    x, y = labelled
    train_x, test_x, train_y, test_y = train_test_split(x, y, random_state=0)
    model = make_pipeline(StandardScaler(), LogisticRegression())
    model.fit(train_x, train_y)
    assert accuracy_score(test_y, model.predict(test_x)) > 0.8


def test_ridge_recovers_a_linear_relation():
    x, y = make_regression(n_samples=200, n_features=5, noise=0.5, random_state=1)
    assert r2_score(y, Ridge(alpha=0.01).fit(x, y).predict(x)) > 0.999


def test_components_are_orthogonal_and_ordered():
    x = np.random.default_rng(5).normal(size=(150, 6)) * np.arange(1, 7)
    pca = PCA(n_components=4).fit(x)
    np.testing.assert_allclose(pca.components_ @ pca.components_.T, np.eye(4), atol=1e-10)
    assert np.all(np.diff(pca.explained_variance_) <= 0)


def test_clusters_are_found_where_they_were_put():
    x, y = make_blobs(n_samples=150, centers=3, cluster_std=0.5, random_state=8)
    found = KMeans(n_clusters=3, n_init=3, random_state=0).fit_predict(x)
    for label in range(3):
        assert len(set(found[y == label])) == 1


def test_a_deep_tree_remembers_its_training_set(labelled):
    x, y = labelled
    tree = DecisionTreeClassifier(random_state=0).fit(x, y)
    assert tree.score(x, y) == 1.0


def test_cross_validation_scores_every_fold(labelled):
    x, y = labelled
    scores = cross_val_score(LogisticRegression(max_iter=500), x, y, cv=4)
    assert scores.shape == (4,)
    assert scores.mean() > 0.75
