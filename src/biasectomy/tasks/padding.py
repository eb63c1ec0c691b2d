"""Sentences that name no person and answer nothing, to stand beside a context: one pool to test with, one to train on.

What is trained on sentences and tested on the same ones has learned the sentences. So the pools share none, and hardly
a subject.
"""

TEST_SENTENCES = (  # of the task `bbq-padded` only
    "It had rained for most of the morning.",
    "The clock on the wall was a few minutes slow.",
    "A delivery van was parked across the street.",
    "The windows faced a small courtyard with two benches and a fountain that had been dry for years.",
    "Outside, the wind had picked up a little.",
    "The building had been repainted the year before.",
    "There was a bowl of oranges on the table.",
    "Somewhere down the road, a lawnmower was running.",
    "The carpet was dark green with a pattern of small squares.",
    "By then the snow on the hills had nearly melted.",
    "The nearest bus stop was about ten minutes away.",
    "One of the lamps flickered now and then, although the bulb was new.",
    "It was the second Tuesday of the month.",
    "The coffee machine made a low humming noise.",
    "A calendar with pictures of lighthouses hung beside the door.",
    "The sky was clear.",
    "The road outside was closed for repairs until the end of the week, so there was hardly any traffic.",
    "The ceiling fan turned slowly.",
    "On the shelf stood a row of old encyclopedias without covers.",
    "The evening was warmer than the forecast had promised.",
    "The trees along the avenue were bare.",
    "A radio was playing quietly in the next room.",
    "The floor had been mopped an hour earlier and was still a little wet in the corners.",
    "It was already getting dark.",
)

TRAINING_SENTENCES = (  # of the rule "padded", which methods train on
    "The heating had been switched off in April.",
    "A thin layer of fog lay over the river.",
    "The chairs were stacked in one corner.",
    "The last train was due at half past eleven.",
    "According to the sign at the gate, the museum closed at six on weekdays and at five on Sundays.",
    "Dust had gathered on the piano.",
    "The bridge was built of grey stone.",
    "Thunder could be heard from far away.",
    "New curtains had been put up in the hall a week before.",
    "The parking lot was half empty.",
    "The ferry timetable had changed in spring, with one crossing fewer each day.",
    "It was unusually cold for September.",
    "A wooden ladder leaned against the shed.",
    "The post office had moved to the other side of the square.",
    "Two of the drawers were stuck.",
    "The tide was low.",
    "Behind the station, a new warehouse was going up, four floors high and without a single window so far.",
    "The ceiling had been lowered during the renovation.",
    "The grass had not been cut since the middle of June.",
    "The sofa was covered with a plain white sheet.",
    "All the platforms had been renumbered over the summer.",
    "A mild breeze came in from the sea.",
    "The roof had leaked twice that winter, and there were stains on the upper walls.",
    "The vending machine took coins only.",
)
