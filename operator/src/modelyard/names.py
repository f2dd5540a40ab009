"""Every name that other systems or people see: groups, labels, annotations, finalizers, reasons. One line each."""

from __future__ import annotations

import hashlib
from typing import Any, Final

GROUP: Final = "modelyard.dev"
VERSION: Final = "v1alpha1"
API_VERSION: Final = f"{GROUP}/{VERSION}"
CATEGORY: Final = "modelyard"
FIELD_MANAGER: Final = "modelyard"
LEASE: Final = "modelyard-operator"

# Labels on children (never copied from users' objects).
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGED_BY_VALUE: Final = "modelyard"
LABEL_KIND: Final = f"{GROUP}/kind"  # kind of the owner, lower-case
LABEL_OWNER: Final = f"{GROUP}/owner"  # short hash of the owner's name (label values end at 63 characters)
LABEL_RUN: Final = f"{GROUP}/run"  # run id of a Job and its pods
LABEL_DEPLOYMENT: Final = f"{GROUP}/deployment"  # name of the ModelDeployment that a server belongs to
LABEL_VERSION: Final = f"{GROUP}/version"  # number of the version that a server serves
LABEL_SERVER: Final = f"{GROUP}/server"  # which server of a version: v7, or v7-2 after a refresh
LABEL_INSTALLATION: Final = f"{GROUP}/installation"  # namespace of the operator that made a cluster-scoped object
LABEL_MODEL: Final = f"{GROUP}/model"  # name of the model that a ModelVersion is a version of

LABEL_QUEUE: Final = "kueue.x-k8s.io/queue-name"  # Kueue's own: on a FineTuneJob or Dataset, and then on its Job

# Annotations.
ANNOTATION_OWNER: Final = f"{GROUP}/owner-name"  # full name of the owner, for people
ANNOTATION_INPUTS: Final = f"{GROUP}/inputs"  # of a Job or a server's Deployment: hash of what people decide of it
ANNOTATION_MADE: Final = f"{GROUP}/made-from"  # of a Job: hash of all that it was made from, also by the installation
ANNOTATION_PINNED: Final = f"{GROUP}/pinned-template"  # of a server's Deployment: pod template as it went live
ANNOTATION_TEMPLATE: Final = f"{GROUP}/template"  # of a server's pods: hash of their template

ANNOTATION_DEFINITION: Final = f"{GROUP}/definition"  # of a CustomResourceDefinition: digest of its spec
ANNOTATION_REFRESH: Final = f"{GROUP}/refresh"  # on a ModelDeployment, by its user: each new value is acted on once

# Finalizers.
FINALIZER_ARTIFACTS: Final = f"{GROUP}/artifacts"  # on a ModelVersion with deletionPolicy: delete

# Secrets that the user makes in each namespace.
SECRET_STORE_READ: Final = "modelyard-store-read"
SECRET_ENDPOINT_CA: Final = "modelyard-endpoint-ca"  # in the operator's own namespace, made by the operator
DEFAULT_PROFILE: Final = "default"

# What a run's pod may ask of the operator's endpoint; each has a token of its own.
PROGRESS: Final = "progress"
CREDENTIALS: Final = "credentials"

# Condition types.
READY: Final = "Ready"
RECONCILING: Final = "Reconciling"  # present only while True
STALLED: Final = "Stalled"  # present only while True: a human is needed
VERIFIED: Final = "Verified"  # of a ModelVersion
OUT_OF_DATE: Final = "OutOfDate"  # of a ModelDeployment, present only while True
CONDITIONS: Final = (READY, RECONCILING, STALLED, VERIFIED, OUT_OF_DATE)

# What a run noticed about itself: condition types of a FineTuneJob, present only while True, and their reasons.
CLASSES_DROPPED: Final = "ClassesDropped"  # the version that a run went on from had classes that its rows lack
NOTHING_LEARNED: Final = "NothingLearned"  # no better than always naming the commonest class
RATE_LOWERED: Final = "LearningRateLowered"  # training diverged and started again, once
ROWS_TRUNCATED: Final = "RowsTruncated"  # more than 1 % of a split's rows are longer than maxLength

# Reasons: stable words, the message has the details. Progress first, then faults.
PENDING: Final = "Pending"
PREPARING: Final = "Preparing"
PREPARED: Final = "Prepared"
HASHING_BASE: Final = "HashingBase"  # what the base model's files hold is read once, before a run can start
WAITING_FOR_DATASET: Final = "WaitingForDataset"
WAITING_FOR_POD: Final = "WaitingForPod"
TRAINING: Final = "Training"
RESUMED: Final = "Resumed"  # event only: a pod goes on from a checkpoint
SUSPENDED: Final = "Suspended"
QUEUED: Final = "Queued"  # Kueue has not started the Job, or took its pods back
PUBLISHING: Final = "Publishing"
SUCCEEDED: Final = "Succeeded"
ADOPTED: Final = "Adopted"
SERVING: Final = "Serving"
ROLLING_OUT: Final = "RollingOut"
VERSION_VERIFIED: Final = "Verified"
WAITING_FOR_VERSION: Final = "WaitingForVersion"
DELETING: Final = "Deleting"
SERVER_CHANGED: Final = "InstallationChanged"  # new servers would have another image, or another way to the store
TEMPLATE_CHANGED: Final = "PodTemplateChanged"  # new servers would be made otherwise, by a profile or a release

INVALID_SPEC: Final = "InvalidSpec"
DATASET_NOT_FOUND: Final = "DatasetNotFound"
DATASET_FAILED: Final = "DatasetFailed"
TASK_MISMATCH: Final = "TaskMismatch"
PROFILE_NOT_FOUND: Final = "ProfileNotFound"
NOT_ALLOWED: Final = "NotAllowed"  # beyond the profile's limits, or another namespace's part of the store
BASE_NOT_FOUND: Final = "BaseModelNotFound"
BASE_UNSAFE: Final = "BaseModelUnsafe"  # pickles or code instead of safetensors
BASE_CHANGED: Final = "BaseModelChanged"
BASE_INVALID: Final = "BaseModelInvalid"
SOURCE_NOT_FOUND: Final = "SourceNotFound"
BAD_DATA: Final = "BadData"
BAD_CONFIG: Final = "BadConfig"
NOT_A_NUMBER: Final = "LossNotANumber"
BAD_OUTPUT: Final = "OutputInvalid"  # what a foreign trainer left is no model that could be served
IMAGE_TOO_OLD: Final = "TrainerImageTooOld"  # it does not know what the run asks for
EXPORT_DIFFERS: Final = "ExportDiffers"
OUT_OF_MEMORY: Final = "OutOfMemory"
DISK_FULL: Final = "DiskFull"
IMAGE_PULL: Final = "ImagePullFailed"
SECRET_MISSING: Final = "SecretMissing"
UNSCHEDULABLE: Final = "Unschedulable"
QUOTA: Final = "ChildRefused"  # the API server refused a child (quota, admission)
DISRUPTED: Final = "TooManyDisruptions"
TRAINER_FAILED: Final = "TrainerFailed"
STORE_UNAVAILABLE: Final = "StoreUnavailable"
STORE_DENIED: Final = "StoreAccessDenied"
STORE_MISCONFIGURED: Final = "StoreMisconfigured"
STORE_FOR_PEOPLE: Final = (STORE_DENIED, STORE_MISCONFIGURED)
"""Waiting does not fix these."""
NO_STS: Final = "StoreWithoutSts"  # it gives no short-lived keys
CORRUPT: Final = "ArtifactsCorrupt"  # digest, size or list differ from the manifest
NOT_CLAIMED: Final = "NumberNotClaimed"
GATE_FAILED: Final = "GateFailed"
VERSION_NOT_FOUND: Final = "VersionNotFound"
VERSION_NOT_READY: Final = "VersionNotReady"
NO_VERSION: Final = "NoPassedVersion"
FORMAT_MISSING: Final = "FormatMissing"  # the version has no format that can be served
SERVER_MISSING: Final = "ServerMissing"  # no server knows the version's task
LOAD_FAILED: Final = "LoadFailed"
PROBE_FAILED: Final = "PredictionFailed"
SERVER_UNREACHABLE: Final = "ServerUnreachable"  # of the way from the operator, not of the server
SERVER_BUSY: Final = "ServerBusy"  # refused because too many requests are waiting: no wrong answer
KSERVE_MISSING: Final = "KServeMissing"  # the cluster does not serve KServe's API (any more)
WEBHOOK_SILENT: Final = "failed calling webhook"  # in the API server's words, when what it asks first does not answer
KSERVE_SILENT: Final = "KServeSilent"  # KServe's controller does not act
KSERVE_FAILED: Final = "KServeFailed"  # KServe says that it cannot make the server
NAME_TOO_LONG: Final = "NameTooLong"
IN_USE: Final = "InUse"
INTERNAL: Final = "InternalError"


def audience(job: str, purpose: str) -> str:
    """Audience of the token with which pods of a Job speak to the operator, for one purpose only."""
    return f"{GROUP}/jobs/{job}/{purpose}"


def hash_job(listing: str) -> str:
    """Name and run label of the Job that reads the base model of a listing (a digest)."""
    return f"base-{listing.removeprefix('sha256:')[:16]}"


def epoch_of(obj: dict[str, Any]) -> str:
    """What a start bears that this very object makes now: another object, or another edit, is another start."""
    meta = obj["metadata"]
    return f"e{short_hash(meta.get('uid', ''), str(meta.get('generation', 0)), length=9)}"


def short_hash(*parts: str, length: int = 10) -> str:
    """Lower-case hexadecimal digest of the parts, the same on every machine; parts cannot run into each other."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:length]


def child_name(owner: str, suffix: str, limit: int = 52) -> str:
    """A deterministic DNS label of at most `limit` characters; long or dotted owners end in a hash."""
    plain = f"{owner}-{suffix}"
    if len(plain) <= limit and "." not in owner:
        return plain
    room = limit - len(suffix) - 12
    head = owner.replace(".", "-")[:room].rstrip("-")
    return f"{head}-{short_hash(owner)}-{suffix}"
