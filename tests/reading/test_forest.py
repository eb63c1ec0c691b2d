"""Packing sequences that share their beginnings."""

from hypothesis import given, settings
from hypothesis import strategies as st

from biasectomy.reading.forest import Forest, plan_forests
from biasectomy.reading.prompts import EncodedPrompt

TOKENS = st.integers(0, 5)
OPTIONS = st.lists(st.lists(TOKENS, min_size=1, max_size=4).map(tuple), min_size=1, max_size=4).map(tuple)
PROMPTS = st.lists(
    st.builds(EncodedPrompt, st.lists(TOKENS, min_size=1, max_size=6).map(tuple), OPTIONS), min_size=1, max_size=6
)


def path_to(forest: Forest, node: int) -> list[int]:
    path = []
    while node >= 0:
        path.append(node)
        node = forest.parents[node]
    return path[::-1]


@settings(max_examples=60, deadline=None)
@given(PROMPTS, st.integers(1, 30), st.booleans(), st.booleans())
def test_every_option_is_read_behind_its_own_prompt(prompts, budget, share, keep_order):
    seen = []
    for forest in plan_forests(prompts, budget, share_prompts=share, keep_order=keep_order):
        assert len(forest) <= budget or len(forest.members) == 1
        depths = forest.depths()
        visible = forest.visible()
        for member in forest.members:
            seen.append(member.index)
            encoded = prompts[member.index]
            for number, option in enumerate(encoded.options):
                nodes = member.predicting_nodes(number)
                assert len(nodes) == len(option)
                path = path_to(forest, nodes[-1])
                assert [forest.tokens[node] for node in path] == [*encoded.prompt, *option[:-1]]
                assert [depths[node] for node in path] == list(range(len(path)))
                assert visible[nodes[-1]].nonzero()[0].tolist() == path
    assert sorted(seen) == list(range(len(prompts)))
    if keep_order:
        assert seen == list(range(len(prompts)))


def test_a_shared_beginning_is_stored_once_and_only_when_asked():
    prompts = [EncodedPrompt((1, 2, 3), ((7,), (8, 9))), EncodedPrompt((1, 2, 4), ((7,), (8, 9)))]
    (shared,) = plan_forests(prompts, 100)
    (apart,) = plan_forests(prompts, 100, share_prompts=False)
    assert len(shared) == 6  # 1 2 3 8, 4 8
    assert len(apart) == 8


def test_the_plan_depends_on_prompts_and_budget_only():
    prompts = [EncodedPrompt((1, number % 3, number), ((1, 2),)) for number in range(12)]
    plans = [[forest.tokens for forest in plan_forests(prompts, 9)] for _ in range(2)]
    assert plans[0] == plans[1]
    assert len(plans[0]) > 1
