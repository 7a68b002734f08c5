"""Memories that leave a choice open, and those that only look like it."""

import pytest

from app.memory.recall.undecided import asks_about_choice, leaves_open

LEAVES_OPEN = """
I'm debating whether to move to Berlin or stay in Lisbon.
We are still deciding between Postgres and MySQL.
I haven't decided yet whether to take the job.
Ann: I can't decide between the red one and the blue one.
Torn between medicine and law
The venue is to be decided.
message queue: Considering Kafka vs NATS for the new service.
I'm on the fence about going to the wedding.
The date of the launch is still up in the air.
Weighing a job at Acme against one at Globex. Nothing is decided.
We were choosing between two schools for Mia.
I'm not sure whether to rent or to buy.
Wondering if I should learn Rust or Go
Undecided about the colour of the kitchen
I have not made up my mind about the offer.
pricing: TBD
Comparing Hetzner versus Render for the staging server.
My wife and I are discussing whether to have a second child.
User was deliberating whether to sell the flat.
Thinking about which laptop to buy.
""".strip().splitlines()
TELLS_MORE = """
Decided on Redis after evaluating Memcached.
I chose law over medicine.
After weighing Acme against Globex I went with Acme.
I was torn between two schools but finally picked the one in Porto.
I'm considering a career in counselling.
I'm thinking of getting a dog.
I'm debating whether to move to Berlin. My sister Ines lives there with two children.
We were evaluating Kafka versus NATS and settled on NATS.
I'm not sure whether to rent or to buy, what do you suggest?
I love board games, hiking or reading a good book.
We compare prices between shops every Saturday.
I evaluate teachers for the school district.
I helped Ann decide between two dresses.
I compared Hetzner versus Render for an article.
I like one clear answer over many options.
We use Flask rather than Django.
I don't know where he works.
My debate club meets on Monday or Tuesday.
She wonders about the stars.
I prefer trains over planes.
""".strip().splitlines()


@pytest.mark.parametrize("text", LEAVES_OPEN, ids=range(len(LEAVES_OPEN)))
def test_memory_that_only_names_options_leaves_the_choice_open(text: str) -> None:
    assert leaves_open(text)


@pytest.mark.parametrize("text", TELLS_MORE, ids=range(len(TELLS_MORE)))
def test_memory_that_tells_more_does_not(text: str) -> None:
    assert not leaves_open(text)


def test_long_text_tells_more_than_that_a_choice_is_open() -> None:
    assert not leaves_open("I'm debating whether to move to Berlin or stay in Lisbon. " * 10)


@pytest.mark.parametrize(
    ("question", "asks"),
    [
        ("Which database did I consider?", True),
        ("Have we decided on a message queue?", True),
        ("What are my options for the flat?", True),
        ("What is our message queue?", False),
        ("Should we take Kafka or NATS?", False),
        ("Where do I work?", False),
    ],
    ids=["considered", "decided", "options", "what is", "should", "other"],
)
def test_question_about_the_choice_itself_is_told_from_one_about_the_outcome(question: str, *, asks: bool) -> None:
    assert asks_about_choice(question) == asks
