"""What the platform team adds to pods: placement, identity, marks, environment, volumes; in Kubernetes' own words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from modelyard.api.affinity import Affinity, LabelSelector, LabelValue, QualifiedName
from modelyard.api.common import ApiModel, Memory, ObjectName, cel

DnsName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
EnvName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z][-._a-zA-Z0-9]*$")]
OUR_VOLUMES = (
    "work", "tmp", "scratch", "shm", "inputs", "output", "config", "model", "progress-token", "credentials-token",
)  # fmt: skip
"""Names of volumes that the operator itself gives to pods."""


class SecretName(ApiModel):
    """A Secret of the pod's namespace."""

    name: ObjectName = Field(description="Name of the Secret, in the namespace of the pod.")


class Toleration(ApiModel):
    """A taint that pods tolerate, as in a PodSpec."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "(has(self.key) && self.key != '') || (has(self.operator) && self.operator == 'Exists')",
                "tolerations: one without key needs operator Exists",
            ),
            (
                "!has(self.value) || self.value == '' || !has(self.operator) || self.operator == 'Equal'",
                "tolerations: value needs operator Equal",
            ),
        )
    )
    key: str | None = Field(default=None, max_length=317, description="Key of the taint; none: every taint.")
    operator: Literal["Exists", "Equal"] | None = Field(
        default=None, description="How key and value are compared; none: Equal, as in a PodSpec."
    )
    value: str | None = Field(default=None, max_length=63, description="Value of the taint, for Equal.")
    effect: Literal["NoSchedule", "PreferNoSchedule", "NoExecute"] | None = Field(
        default=None, description="Effect of the taint; none: every effect."
    )
    toleration_seconds: int | None = Field(
        default=None, ge=0, description="How long a pod stays after a NoExecute taint came; none: for ever."
    )


class TopologySpread(ApiModel):
    """How pods are spread over parts of the cluster."""

    max_skew: int = Field(ge=1, le=1000, description="Largest difference between two parts.")
    topology_key: QualifiedName = Field(description="Node label that names the part, for example a zone.")
    when_unsatisfiable: Literal["DoNotSchedule", "ScheduleAnyway"] = Field(description="What if it cannot be held.")
    label_selector: LabelSelector | None = Field(default=None, description="Pods that are counted.")
    match_label_keys: list[QualifiedName] | None = Field(
        default=None,
        max_length=8,
        description="Labels whose values a counted pod shares with the new one, for example modelyard.dev/deployment; "
        "needs labelSelector.",
    )


class KeyRef(ApiModel):
    """One key of a Secret or ConfigMap."""

    name: ObjectName = Field(description="Name of the object in the pod's namespace.")
    key: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="The key.")
    optional: bool | None = Field(default=None, description="Whether a pod starts without it.")


class FieldRef(ApiModel):
    """A field of the pod itself."""

    field_path: Annotated[str, Field(min_length=1, max_length=253)] = Field(description="For example metadata.name.")


class EnvSource(ApiModel):
    """Where a value comes from: exactly one of the fields."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "[has(self.secretKeyRef), has(self.configMapKeyRef), has(self.fieldRef)].filter(x, x).size() == 1",
                "valueFrom: give exactly one of secretKeyRef, configMapKeyRef and fieldRef",
            )
        )
    )
    secret_key_ref: KeyRef | None = None
    config_map_key_ref: KeyRef | None = None
    field_ref: FieldRef | None = None


class EnvVar(ApiModel):
    """An environment variable."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("!(has(self.value) && has(self.valueFrom))", "env: give value or valueFrom, not both"),
            (
                "!self.name.startsWith('MODELYARD_') && !self.name.startsWith('KUBEFLOW_TRAINER_')",
                "env: names that begin with MODELYARD_ or KUBEFLOW_TRAINER_ belong to the operator",
            ),
        )
    )
    name: EnvName = Field(description="Its name; one that the operator sets as well is overridden.")
    value: str | None = Field(default=None, max_length=16384, description="Its value.")
    value_from: EnvSource | None = Field(default=None, description="Where the value comes from.")


class EnvObject(ApiModel):
    """A Secret or ConfigMap with environment variables."""

    name: ObjectName = Field(description="Name of the object in the pod's namespace.")
    optional: bool | None = Field(default=None, description="Whether a pod starts without it.")


class EnvFrom(ApiModel):
    """All keys of a Secret or ConfigMap as environment variables."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            ("has(self.secretRef) != has(self.configMapRef)", "envFrom: give exactly one of secretRef and configMapRef")
        )
    )
    prefix: str | None = Field(default=None, max_length=128, description="Stands before each name.")
    secret_ref: EnvObject | None = None
    config_map_ref: EnvObject | None = None


class EmptyDir(ApiModel):
    """An empty folder that lives as long as the pod."""

    medium: Literal["Memory"] | None = Field(default=None, description="Memory: in memory, not on disk.")
    size_limit: Memory | None = Field(default=None, description="Most that it may hold, for example 10Gi.")


class ConfigMapVolume(ApiModel):
    """Files from a ConfigMap."""

    name: ObjectName = Field(description="Name of the ConfigMap in the pod's namespace.")
    optional: bool | None = Field(default=None, description="Whether a pod starts without it.")


class SecretVolume(ApiModel):
    """Files from a Secret."""

    secret_name: ObjectName = Field(description="Name of the Secret in the pod's namespace.")
    optional: bool | None = Field(default=None, description="Whether a pod starts without it.")


class ClaimVolume(ApiModel):
    """A PersistentVolumeClaim."""

    claim_name: ObjectName = Field(description="Name of the claim in the pod's namespace.")
    read_only: bool | None = Field(default=None, description="Whether it is mounted for reading only.")


class Volume(ApiModel):
    """A volume beside those of the operator: exactly one kind."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "[has(self.emptyDir), has(self.configMap), has(self.secret), has(self.persistentVolumeClaim)]"
                ".filter(x, x).size() == 1",
                "volumes: give exactly one of emptyDir, configMap, secret and persistentVolumeClaim",
            ),
            (
                f"!(self.name in {list(OUR_VOLUMES)})",
                f"volumes: the names {', '.join(OUR_VOLUMES)} belong to the operator",
            ),
        )
    )
    name: DnsName = Field(description="Name that volumeMounts refer to.")
    empty_dir: EmptyDir | None = None
    config_map: ConfigMapVolume | None = None
    secret: SecretVolume | None = None
    persistent_volume_claim: ClaimVolume | None = None


class VolumeMount(ApiModel):
    """Where a volume is seen in every container."""

    name: DnsName = Field(description="Name of one of the volumes.")
    mount_path: Annotated[str, Field(min_length=1, max_length=1024, pattern=r"^/[^:]*$")] = Field(
        description="Folder in the containers."
    )
    sub_path: Annotated[str, Field(min_length=1, max_length=1024)] | None = Field(
        default=None, description="Folder of the volume; default: all of it."
    )
    read_only: bool | None = Field(default=None, description="Whether it can only be read.")


class Pod(ApiModel):
    """What is added to pods; fields that a PodSpec has mean what they mean there."""

    model_config = ConfigDict(
        json_schema_extra=cel(
            (
                "!has(self.volumeMounts) || self.volumeMounts.all(m, has(self.volumes) && "
                "self.volumes.exists(v, v.name == m.name))",
                "pod.volumeMounts: each name must be one of pod.volumes",
            )
        )
    )
    image_pull_secrets: list[SecretName] | None = Field(
        default=None, max_length=16, description="Secrets with the registries' keys, in the pod's namespace."
    )
    service_account_name: ObjectName | None = Field(
        default=None, description="Service account in the pod's namespace; its token is never mounted."
    )
    priority_class_name: ObjectName | None = Field(default=None, description="PriorityClass of the pods.")
    runtime_class_name: ObjectName | None = Field(default=None, description="RuntimeClass of the pods.")
    node_selector: dict[str, LabelValue] | None = Field(
        default=None, max_length=64, description="Node labels that the pods need."
    )
    tolerations: list[Toleration] | None = Field(
        default=None, max_length=32, description="Taints that the pods tolerate."
    )
    affinity: Affinity | None = Field(default=None, description="Nodes and pods that the pods like or avoid.")
    topology_spread_constraints: list[TopologySpread] | None = Field(
        default=None, max_length=8, description="How pods are spread over zones or nodes."
    )
    labels: dict[str, LabelValue] | None = Field(
        default=None, max_length=32, description="Labels of the pods, and of a run's Job; the operator's own win."
    )
    annotations: dict[str, Annotated[str, Field(max_length=4096)]] | None = Field(
        default=None, max_length=32, description="Annotations of the pods; the operator's own win."
    )
    copy_labels: list[QualifiedName] | None = Field(
        default=None,
        max_length=16,
        description="Labels that are copied from the object (FineTuneJob, Dataset, ModelDeployment) to its pods and "
        "Job, for example team; they win over labels.",
    )
    env: list[EnvVar] | None = Field(default=None, max_length=64, description="Environment of every container.")
    env_from: list[EnvFrom] | None = Field(
        default=None, max_length=16, description="Secrets and ConfigMaps with environment for every container."
    )
    volumes: list[Volume] | None = Field(default=None, max_length=16, description="Volumes of the pods.")
    volume_mounts: list[VolumeMount] | None = Field(
        default=None, max_length=16, description="Where every container sees these volumes."
    )
    shared_memory: Memory | None = Field(
        default=None, description="Size of /dev/shm, which counts as memory of the pod, for example 2Gi."
    )
    ephemeral_storage: Memory | None = Field(
        default=None, description="Disk of each container, as request and limit, for example 20Gi."
    )


class RunPod(Pod):
    """What is added to the pods of runs and preparations."""

    gpu_resource: QualifiedName = Field(
        default="nvidia.com/gpu", description="Name of the resource that spec.resources.gpu counts."
    )
    user: Literal["fixed", "cluster"] = Field(
        default="fixed",
        description="fixed: user and group 65532; cluster: none is set, so that the cluster may choose one "
        "(policies that refuse fixed numbers). Never root.",
    )
