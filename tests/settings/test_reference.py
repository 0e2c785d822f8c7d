from tests.settings.reference import PAGE, page


def test_the_reference_is_up_to_date():
    assert PAGE.read_text() == page(), "write it anew: python -m tests.settings.reference"
