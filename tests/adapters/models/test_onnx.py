import asyncio
import hashlib
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio

from app.adapters.models.local_embedder import TextEmbeddingState
from app.adapters.models.onnx import FOLDER, LoadedModel, OnnxEmbedder, Piece, batch_pieces
from app.core.ports import Purpose, Vector

LIKES = "She drinks her coffee black, always before seven in the morning."
ALSO_LIKES = "Early in the day she has a cup of coffee without milk."
UNRELATED = "The invoice for the new roof came to nine thousand euros."
CLOSE = 0.9999
"""Sums of floats depend on their order, which differs in a batch."""
ORIGINAL = Path(__file__).with_name("original_vectors.npy")
"""Similarities of the pairs below by the original model (app/models/README.md)."""
PAIRS = [
    (LIKES, ALSO_LIKES),
    ("Where did Anna spend her holidays?", "Anna went to Lisbon for two weeks in August."),
    ("My daughter is allergic to peanuts.", "What must the child not eat?"),
    ("Ben started a new job at the hospital on Monday.", "Where does Ben work now?"),
    (UNRELATED, "How much did they pay for the repair of the house?"),
    ("I never learned to swim.", "He is afraid of deep water. " * 12),
]


@pytest_asyncio.fixture
async def onnx_embedder() -> AsyncIterator[OnnxEmbedder]:
    onnx_embedder = OnnxEmbedder(threads=2)
    yield onnx_embedder
    await onnx_embedder.close()


def cosine(one: Vector, other: Vector) -> float:
    return float(np.dot(one, other))


async def test_texts_with_the_same_meaning_have_near_vectors(onnx_embedder: OnnxEmbedder) -> None:
    one, same, other = await onnx_embedder.embed([LIKES, ALSO_LIKES, UNRELATED])
    assert cosine(one, same) > 0.6 > 0.3 > cosine(one, other)


async def test_vector_does_not_depend_on_other_texts_of_the_run() -> None:
    alone, crowd = OnnxEmbedder(cache_size=0), OnnxEmbedder(cache_size=0)
    texts = [f"Sentence number {number}, about {'a lot of ' * number**2}nothing." for number in range(12)]
    expected = [(await alone.embed([text]))[0] for text in texts]
    assert min(map(cosine, await crowd.embed(texts), expected)) > CLOSE
    await alone.close()
    await crowd.close()


def test_long_text_is_cut_before_it_is_tokenized() -> None:
    assert len(TextEmbeddingState("x" * 1_000_000).readable_part) < 20_000
    assert len(TextEmbeddingState("x" * 1_000_000, max_pieces=1).readable_part) < 2_500


def test_padding_does_not_change_vectors() -> None:
    model = LoadedModel(FOLDER)
    texts = ["Tea.", "Green tea, hot.", "Two cups of green tea."]
    alone = [model.embed([text])[0].tolist() for text in texts]
    assert min(map(cosine, [each.tolist() for each in model.embed(texts)], alone)) > CLOSE


@pytest.mark.parametrize(
    ("lengths", "expected"),
    [
        ([], []),
        ([15, 15, 15], [[15, 15, 15]]),
        ([4, 8, 6], [[4, 6, 8]]),
        ([40, 5, 41], [[5], [40, 41]]),  # padding the shortest would take more than a run of its own
        ([256, 256], [[256], [256]]),  # and so much at once would take too long
        ([100, 100, 100], [[100, 100], [100]]),
    ],
)
def test_pieces_of_similar_length_share_a_run(lengths: list[int], expected: list[list[int]]) -> None:
    batches = batch_pieces([Piece(0, [1] * length) for length in lengths])
    assert [[len(piece.ids) for piece in batch] for batch in batches] == expected


async def test_vectors_are_near_those_of_the_original_model(onnx_embedder: OnnxEmbedder) -> None:
    vectors = await onnx_embedder.embed([text for pair in PAIRS for text in pair])
    assert min(map(cosine, vectors, np.load(ORIGINAL).astype(float).tolist())) > 0.97


def test_shipped_model_has_the_documented_checksum() -> None:
    digest = hashlib.sha256((FOLDER / "model.onnx").read_bytes()).hexdigest()
    assert f"`{digest}`" in (FOLDER.parent / "README.md").read_text()


async def test_each_text_is_closest_to_its_counterpart(onnx_embedder: OnnxEmbedder) -> None:
    ones = await onnx_embedder.embed([one for one, _ in PAIRS])
    others = await onnx_embedder.embed([other for _, other in PAIRS])
    assert np.argmax(np.dot(ones, np.transpose(others)), axis=1).tolist() == list(range(len(PAIRS)))


async def test_end_of_a_long_text_changes_its_vector(onnx_embedder: OnnxEmbedder) -> None:
    filler = "The weather report said nothing in particular about the coming week. " * 60
    without, with_end, end = await onnx_embedder.embed([filler, filler + UNRELATED * 8, UNRELATED])
    assert cosine(with_end, end) > cosine(without, end) + 0.1


async def test_very_long_text_does_not_block_others(onnx_embedder: OnnxEmbedder) -> None:
    long = asyncio.create_task(onnx_embedder.embed(["long " * 20_000]))
    await asyncio.sleep(0)
    await onnx_embedder.embed([LIKES], Purpose.QUERY)
    assert not long.done()
    await long


@pytest.mark.parametrize("purpose", list(Purpose))
async def test_projects_take_turns(onnx_embedder: OnnxEmbedder, purpose: Purpose) -> None:
    busy, other = uuid.uuid4(), uuid.uuid4()
    texts = [f"{number} {'a long text of one project ' * 400}" for number in range(40)]
    flood = [asyncio.create_task(onnx_embedder.embed([text], purpose, tenant=busy)) for text in texts]
    await asyncio.sleep(0)
    await onnx_embedder.embed([LIKES], purpose, tenant=other)
    assert sum(task.done() for task in flood) < 5
    for task in flood:
        task.cancel()


async def test_question_is_read_as_far_as_the_model_reads(onnx_embedder: OnnxEmbedder) -> None:
    start = "word " * 300
    one, other = [await onnx_embedder.embed([start + end], Purpose.QUERY) for end in ("coffee", "the sea")]
    assert one == other


async def test_texts_of_two_projects_do_not_wait_for_each_other(onnx_embedder: OnnxEmbedder) -> None:
    flood = [
        asyncio.create_task(onnx_embedder.embed([text], tenant=uuid.UUID(int=1)))
        for text in [*(f"{number} {'long ' * 3000}" for number in range(20)), LIKES]
    ]
    await asyncio.sleep(0)
    await onnx_embedder.embed([LIKES], tenant=uuid.UUID(int=2))
    assert not flood[-1].done(), "the same text of the busy project is still in its queue"
    for task in flood:
        task.cancel()


async def test_concurrent_callers_get_their_own_vectors(onnx_embedder: OnnxEmbedder) -> None:
    texts = [f"Person {number} lives at number {number}." for number in range(40)]
    together = await asyncio.gather(*[onnx_embedder.embed([text], Purpose.QUERY) for text in texts])
    fresh = OnnxEmbedder()
    assert min(map(cosine, [vector for [vector] in together], await fresh.embed(texts))) > CLOSE
    await fresh.close()


async def test_query_has_the_same_vector_alone_and_in_a_batch(onnx_embedder: OnnxEmbedder) -> None:
    texts = [f"Where did person {number} go {'and why ' * number}?" for number in range(8)]
    alone = [(await onnx_embedder.embed([text], Purpose.QUERY))[0] for text in texts]
    crowded = OnnxEmbedder()
    assert min(map(cosine, alone, await crowded.embed(texts))) > CLOSE
    await crowded.close()


async def test_cancelled_caller_does_not_affect_others(onnx_embedder: OnnxEmbedder) -> None:
    leaving = asyncio.create_task(onnx_embedder.embed([LIKES]))
    staying = asyncio.create_task(onnx_embedder.embed([LIKES]))
    await asyncio.sleep(0)
    leaving.cancel()
    [vector] = await staying
    assert cosine(vector, vector) > 0.999
    assert leaving.cancelled()


async def test_cached_text_is_not_embedded_again() -> None:
    forgetful, mindful = OnnxEmbedder(cache_size=1), OnnxEmbedder(cache_size=2)
    for onnx_embedder in (forgetful, mindful):
        await onnx_embedder.embed([LIKES])
        await onnx_embedder.embed([UNRELATED])
        await onnx_embedder.close()  # its threads are gone: only what it knows can still be answered
    assert await mindful.embed([LIKES])
    try:
        await forgetful.embed([LIKES])
    except RuntimeError:
        return
    raise AssertionError("the older of two texts was still known to an embedder that keeps one")


WATCH = """
import sys
reached = []
def watch(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        reached.append(event)
sys.addaudithook(watch)
import asyncio
from app.adapters.models.onnx import OnnxEmbedder
async def main():
    embedder = OnnxEmbedder()
    [vector] = await embedder.embed(["a word"])
    await embedder.close()
    print(len(vector), reached)
asyncio.run(main())
"""


def test_loading_uses_no_network_and_writes_no_file(tmp_path: Path) -> None:
    before = sorted(path.name for path in FOLDER.iterdir())
    environment = {"HOME": str(tmp_path), "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    child = subprocess.run(
        [sys.executable, "-c", WATCH], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    assert child.stdout.strip() == "384 []"
    assert not list(tmp_path.iterdir())
    assert sorted(path.name for path in FOLDER.iterdir()) == before
