"""Every error that youtu-edge reports, as one tree.

    YoutuEdgeError                    code                    HTTP  exit  retryable
    ├── ConfigError                   config_invalid           -     78    no
    ├── PackageError                  package_invalid          -     78    no
    ├── DeviceError                   device_unusable          -     78    no
    ├── DeviceFaultError              device_fault             -     71    yes
    ├── UpdateError                   update_failed            -      1    no
    ├── PortInUseError                port_in_use              -     69    yes
    ├── AddressMissingError           address_missing          -     69    yes
    ├── DataInUseError                data_in_use              -     69    yes
    ├── RequestError                                                  400 family: the client must change the request
    │   ├── InvalidRequestError       invalid_request          400          no
    │   ├── UnsupportedParameterError unsupported_parameter    400          no
    │   ├── NotOfferedError           not_offered              400          no
    │   ├── ContextLengthError        context_length_exceeded  400          no
    │   ├── ModelNotFoundError        model_not_found          404          no
    │   ├── RequestTimeoutError       request_timeout          408          yes
    │   ├── BodyTooLargeError         body_too_large           413          no
    │   ├── NotFoundError             not_found                404          no
    │   ├── ElsewhereError            elsewhere                404          no
    │   ├── MethodNotAllowedError     method_not_allowed       405          no
    │   ├── SessionBusyError          session_busy             409          yes
    │   ├── ForbiddenError            forbidden                403          no
    │   ├── InvalidApiKeyError        invalid_api_key          401          no
    │   ├── InsufficientScopeError    insufficient_scope       403          no
    │   ├── IdempotencyConflictError  idempotency_conflict     422          no
    │   └── ModelChangedError         model_changed            410          no
    ├── OverloadedError               overloaded               429          yes, after `retry_after_s`
    │   ├── ConcurrencyError          concurrency_exceeded     429          yes, after `retry_after_s`
    │   └── QuotaError                quota_exceeded           429          yes, after `retry_after_s`
    ├── UnavailableError              unavailable              503          yes, after `retry_after_s`
    ├── StorageError                  storage_failed           503          yes
    ├── DeadlineError                 deadline_exceeded        504          yes
    ├── MemoryPressureError           memory_pressure          503          yes, after `retry_after_s`
    ├── ConnectionLimitError          connection_limit         503          yes, after `retry_after_s`
    ├── EngineGaveUpError             engine_gave_up           503   70     no
    ├── EngineFatalError              engine_fatal             -     78    no
    ├── PoisonRequestError            poison_request           500          no
    └── InternalError                 internal_error           500          no

RequestError and its subclasses are in request_errors.py. `code` is stable: clients may compare it. The message names the
field, file or tensor and says what to do about it.
"""

from __future__ import annotations

from typing import ClassVar

EXIT_OK = 0
EXIT_FAILURE = 1
EXIT_NOT_AVAILABLE = 69
EXIT_ENGINE_GAVE_UP = 70
EXIT_DEVICE_FAULT = 71
EXIT_CONFIG = 78


_LONGEST_LINE = 1000  # characters


def one_line(message: str) -> str:
    """`message` as one line without control characters: it may quote untrusted files."""
    shown = "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in message[:_LONGEST_LINE]
    )
    return shown if len(message) <= _LONGEST_LINE else f"{shown} … ({len(message)} characters)"


class YoutuEdgeError(Exception):
    """Root of the tree. `param` names the offending request field, if there is one."""

    code: ClassVar[str] = "error"
    http_status: ClassVar[int] = 500
    exit_code: ClassVar[int] = EXIT_FAILURE
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class ConfigError(YoutuEdgeError):
    """The configuration is not valid; the message names file, line and key."""

    code = "config_invalid"
    exit_code = EXIT_CONFIG


class PackageError(YoutuEdgeError):
    """The model package is damaged, incomplete or in another format; the message names the file."""

    code = "package_invalid"
    exit_code = EXIT_CONFIG


class DeviceError(YoutuEdgeError):
    """The GPU that `engine.device` requires cannot be used; the message says what is missing."""

    code = "device_unusable"
    exit_code = EXIT_CONFIG


class DeviceFaultError(YoutuEdgeError):
    """The GPU failed and stays unusable for this process; a new process may be able to use it."""

    code = "device_fault"
    exit_code = EXIT_DEVICE_FAULT
    retryable = True


class UpdateError(YoutuEdgeError):
    """A model version cannot be installed, activated or removed; nothing was changed."""

    code = "update_failed"


class PortInUseError(YoutuEdgeError):
    """Another process listens on the configured address."""

    code = "port_in_use"
    exit_code = EXIT_NOT_AVAILABLE
    retryable = True


class AddressMissingError(YoutuEdgeError):
    """This machine does not have the address of `service.host`, at least not yet."""

    code = "address_missing"
    exit_code = EXIT_NOT_AVAILABLE
    retryable = True


class DataInUseError(YoutuEdgeError):
    """Another daemon is using `storage.directory`."""

    code = "data_in_use"
    exit_code = EXIT_NOT_AVAILABLE
    retryable = True


class OverloadedError(YoutuEdgeError):
    """The queue is full; nothing was started."""

    code = "overloaded"
    http_status = 429
    retryable = True

    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ConcurrencyError(OverloadedError):
    """The key already has as many unfinished requests as it is allowed."""

    code = "concurrency_exceeded"
    http_status = 429


class QuotaError(OverloadedError):
    """The key has used up its tokens for this hour or day."""

    code = "quota_exceeded"
    http_status = 429


class UnavailableError(YoutuEdgeError):
    """The daemon is starting, draining or stopping."""

    code = "unavailable"
    http_status = 503
    retryable = True

    def __init__(self, message: str, *, retry_after_s: int = 2) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class StorageError(YoutuEdgeError):
    """The device's own disk failed or is full; what was stored before is untouched."""

    code = "storage_failed"
    http_status = 503
    retryable = True


class DeadlineError(YoutuEdgeError):
    """The request missed its deadline, set by the client or by `service.request_timeout_s`."""

    code = "deadline_exceeded"
    http_status = 504
    retryable = True


class MemoryPressureError(UnavailableError):
    """The machine is short of memory; nothing was started."""

    code = "memory_pressure"


class ConnectionLimitError(UnavailableError):
    """All the connections that are allowed are waiting for answers; nothing was read."""

    code = "connection_limit"


class EngineGaveUpError(YoutuEdgeError):
    """The engine crashed more often than `service.max_restart_rate` allows."""

    code = "engine_gave_up"
    http_status = 503
    exit_code = EXIT_ENGINE_GAVE_UP


class EngineFatalError(YoutuEdgeError):
    """The engine rejected its configuration or model package: a restart cannot help."""

    code = "engine_fatal"
    exit_code = EXIT_CONFIG


class PoisonRequestError(YoutuEdgeError):
    """The engine crashed twice in a row while this was its only request."""

    code = "poison_request"


class InternalError(YoutuEdgeError):
    """A fault of youtu-edge itself."""

    code = "internal_error"
