"""What the program refuses that a plan only warns of."""

import pulumi
import pytest

from infra import program
from infra.plan.instance import plan_instance
from infra.spec.kubernetes_versions import BUILT_VERSIONS, offered
from tests.instances import cluster, make_spec


def test_a_version_that_azlocal_does_not_build_is_refused_by_the_rule_that_warns_of_it() -> None:
    unbuilt = next(version for version in offered()[max(offered())] if version not in (*BUILT_VERSIONS, "1.33.5"))
    plan = plan_instance(make_spec(cluster("a", kubernetesVersion=unbuilt)))
    assert plan.ok
    with pytest.raises(
        pulumi.RunError, match=f"error: .*azlocal doesn't build Kubernetes {unbuilt} .cluster a."
    ) as caught:
        program._check_versions(plan)
    assert "the plan has 1 error; no host was touched" in str(caught.value)
    program._check_versions(plan_instance(make_spec(cluster("a", kubernetesVersion=BUILT_VERSIONS[0]))))
