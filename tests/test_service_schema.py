"""Test the service with requests that Schemathesis makes from its OpenAPI document."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from schemathesis import GenerationMode
from schemathesis.specs.openapi.checks import positive_data_acceptance

import affekt
from affekt.service.app import make_app
from synthetic_network import own_model

MODES = {  # the others have no parameters that could be wrong
    "/health": (GenerationMode.POSITIVE,),
    "/metrics": (GenerationMode.POSITIVE,),
    "/model": (GenerationMode.POSITIVE,),
    "/predict": (GenerationMode.POSITIVE, GenerationMode.NEGATIVE),
    "/timeline": (GenerationMode.POSITIVE, GenerationMode.NEGATIVE),
    "/embed": (GenerationMode.POSITIVE, GenerationMode.NEGATIVE),
}


@pytest.fixture(scope="module")
def operations(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    predictor = affekt.load(own_model(tmp_path_factory.mktemp("model")))
    app = make_app(predictor, hosts={"testserver"})
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    return {each.ok().path: each.ok() for each in schema.get_all_operations()}


def test_every_operation_is_tested(operations: dict[str, Any]) -> None:
    assert {*operations} == {*MODES}


@pytest.mark.parametrize(("path", "mode"), [(p, m) for p, modes in MODES.items() for m in modes])
def test_the_service_answers_as_its_document_says(
    operations: dict[str, Any], path: str, mode: GenerationMode
) -> None:
    """No crash, and each answer with a status, type and shape that the document names."""

    @settings(
        max_examples=20,
        database=None,
        suppress_health_check=[*HealthCheck],
    )
    @given(case=operations[path].as_strategy(generation_mode=mode))
    def check(case: Any) -> None:
        case.call_and_validate(excluded_checks=[positive_data_acceptance])  # bytes are no sound

    check()


def test_an_answer_that_is_not_described_is_seen(
    operations: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    case = operations["/health"].Case()
    case.call_and_validate()
    monkeypatch.setattr("affekt.service.readiness.Readiness.report", _teapot, raising=True)
    with pytest.raises(BaseExceptionGroup, match="status code"):
        case.call_and_validate()


async def _teapot(_: object) -> tuple[int, dict[str, str]]:
    return 418, {"status": "teapot"}
