from infra.spec.hosts import VmSizeSpec
from infra.spec.vm_sizes import AZURE_SIZES, vm_sizes


def test_azures_table() -> None:
    assert len(AZURE_SIZES) == 7 + 2 + 8 + 16
    default = AZURE_SIZES["Standard_A4_v2"]
    assert (default.vcpus, default.memory_mib, default.disk_gib, default.for_control_plane) == (4, 8192, 200, True)
    assert not AZURE_SIZES["Standard_D16s_v3"].for_control_plane
    gpu = AZURE_SIZES["Standard_NC32_L40S_2"]
    assert (gpu.vcpus, gpu.memory_mib, gpu.gpus) == (32, 128 * 1024, 2)


def test_a_sites_own_size_wins() -> None:
    own = {
        "Standard_A4_v2": VmSizeSpec(vcpus=1, memory_gib=1, disk_gib=10),
        "X": VmSizeSpec(vcpus=2, memory_gib=3),
    }
    sizes = vm_sizes(own)
    assert (sizes["Standard_A4_v2"].vcpus, sizes["X"].memory_mib, sizes["X"].disk_gib) == (1, 3072, 200)
