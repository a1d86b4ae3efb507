"""Lineage told over HTTP: bind, release, tool calls, and many at once."""

from http import HTTPStatus

from aiohttp import web

from davylamp.api.endpoint import Asked, Endpoint
from davylamp.api.problems import problem
from davylamp.api.reports import (
    BATCH,
    Batch,
    BatchAnswer,
    Begin,
    Bind,
    Bound,
    Called,
    Done,
    End,
    Refused,
    Release,
    Released,
    carry_out,
)
from davylamp.api.scopes import Scope
from davylamp.api.sight import Sight
from davylamp.errors import ConfigError
from davylamp.events import Struct

_BATCH_BYTES = BATCH * 4096


class RegisterDesk:
    """Takes reports; what one needs is the scope ``register``, and nothing else."""

    def __init__(self, sight: Sight) -> None:
        self._sight = sight

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the routes."""
        root = "/api/v1/lineage"
        single = (
            (f"{root}/bind", "A container holds an address", Bind, Bound),
            (f"{root}/release", "An address, or a container's, was given up", Release, Released),
            (f"{root}/tool-calls/begin", "A tool call begins", Begin, Called),
            (f"{root}/tool-calls/end", "A tool call is over", End, Called),
        )
        return (
            *(
                Endpoint(
                    method="POST",
                    path=path,
                    summary=summary,
                    handle=self.report,
                    body=body,
                    answer=answer,
                    scope=Scope.REGISTER,
                    problems=(HTTPStatus.CONFLICT,) if answer is Called else (),
                )
                for path, summary, body, answer in single
            ),
            Endpoint(
                method="POST",
                path=f"{root}/batch",
                summary=f"Up to {BATCH} reports, carried out in order",
                handle=self.batch,
                body=Batch,
                body_bytes=_BATCH_BYTES,
                answer=BatchAnswer,
                scope=Scope.REGISTER,
            ),
        )

    async def report(
        self, asked: Asked[Struct, Bind | Release | Begin | End]
    ) -> Struct | web.Response:
        """Carry out one report."""
        done = await self._done(asked.body)
        if isinstance(done, Refused):
            return problem(HTTPStatus(done.status), done.detail)
        return done

    async def batch(self, asked: Asked[Struct, Batch]) -> BatchAnswer:
        """Carry out many; one that is unfit does not keep the others from being heard."""
        answers: list[Done] = []
        for report in asked.body.reports:
            try:
                answers.append(await self._done(report))
            except ConfigError as error:
                status = HTTPStatus.UNPROCESSABLE_ENTITY.value
                answers.append(Refused(status=status, detail=str(error)))
        return BatchAnswer(answers=tuple(answers))

    async def _done(self, report: Bind | Release | Begin | End) -> Done:
        store = self._sight.store
        return await store.run(carry_out(report, store.operations, self._sight.clock()))
