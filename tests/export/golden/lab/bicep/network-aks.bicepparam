// azlocal export made this; what it says comes from the stack's files. Export again instead of editing.
using 'br/public:avm/res/azure-stack-hci/logical-network:0.3.0'

param name = 'aks'
param location = 'eastus'
param customLocationResourceId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers/Microsoft.ExtendedLocation/customLocations/lab'
param vmSwitchName = 'ConvergedSwitch(compute_management)'
param ipAllocationMethod = 'Static'
param addressPrefix = '10.220.32.0/24'
param defaultGateway = '10.220.32.1'
param routeName = 'default'
param dnsServers = [
  '10.220.32.5'
]
param ipPools = [
  {
    start: '10.220.32.18'
    end: '10.220.32.37'
    ipPoolType: 'vm'
  }
]
param vlanId = 110
