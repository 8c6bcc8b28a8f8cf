"""What all sections of a recipe share."""

from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, ValidationInfo, field_validator


class Section(BaseModel):
    """Frozen; unknown keys are refused; ``none`` means no value where that is allowed."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    @field_validator("*", mode="before")
    @classmethod
    def _plain(cls, value: Any, info: ValidationInfo) -> Any:
        annotation = cls.model_fields[str(info.field_name)].annotation
        allowed = (annotation, *get_args(annotation))
        if isinstance(value, str) and value.lower() == "none" and type(None) in allowed:
            return None
        if isinstance(value, bool) and bool not in allowed:  # YAML reads no, off and yes as truth values
            raise ValueError("is a truth value; put the word in quotes or give a number")
        return value


def named(default: str) -> Discriminator:
    """Which of several kinds of section is meant: by its name, else the default."""
    return Discriminator(
        lambda value: value.get("name", default) if isinstance(value, dict) else getattr(value, "name", default)
    )
