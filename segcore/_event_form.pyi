from collections.abc import Mapping

class EventRules:
    def __init__(
        self,
        kinds: Mapping[str, str],
        *,
        id_length: int,
        token_length: int,
        identities: int,
        identity_length: int,
        items: int,
        label_length: int,
        properties: int,
        name_length: int,
        text_length: int,
        number_limit: int,
    ) -> None: ...
