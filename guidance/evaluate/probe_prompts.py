"""What the guidance probe asks for, and how much work a drawing gets."""

# prompt → index of its class among the 1,000 of ImageNet
PROMPTS = {
    "a goldfish": 1, "a flamingo": 130, "a red fox": 277, "a tiger": 292, "a ladybug": 301,
    "a monarch butterfly": 323, "a zebra": 340, "a hot air balloon": 417, "a lighthouse": 437,
    "a castle": 483, "a school bus": 779, "a soccer ball": 805, "a traffic light": 920,
    "an umbrella": 879, "a strawberry": 949, "an orange": 950, "a banana": 954, "a pizza": 963,
    "a volcano": 980, "a daisy": 985, "a peacock": 84, "a jellyfish": 107, "a snail": 113,
    "a king penguin": 145, "a lion": 291, "a starfish": 327, "an elephant": 386,
    "a giant panda": 388, "an airliner": 404, "an acoustic guitar": 402, "a candle": 470,
    "a church": 497, "a grand piano": 579, "a steam locomotive": 820, "a teddy bear": 850,
    "an ice cream": 928, "a bell pepper": 945, "a mushroom": 947, "a lemon": 951,
    "a pineapple": 953,
}  # fmt: skip
STEPS, CUTS = 100, 12  # the budget of a drawing
