// azlocal export made this; what it says comes from the stack's files. Export again instead of editing.
using 'br/public:avm/res/hybrid-container-service/provisioned-cluster-instance:0.2.1'

param name = 'lab-a'
param location = 'eastus'
param customLocationResourceId = '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers/Microsoft.ExtendedLocation/customLocations/lab'
param kubernetesVersion = '1.33.5'
param linuxProfile = {
  ssh: {
    publicKeys: [
      {
        keyData: 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIFCvIh2sAqUTDR/ixeSuWYIwvln/b2TuIAGQhQDNuNuZ example'
      }
    ]
  }
}
param cloudProviderProfile = {
  infraNetworkProfile: {
    vnetSubnetIds: [
      '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/azure-local/providers/Microsoft.AzureStackHCI/logicalNetworks/aks'
    ]
  }
}
param controlPlane = {
  count: 3
  vmSize: 'Standard_A4_v2'
  controlPlaneEndpoint: {}
}
param agentPoolProfiles = [
  {
    name: 'nodepool1'
    count: 5
    vmSize: 'Standard_A4_v2'
    osType: 'Linux'
    osSKU: 'CBLMariner'
    maxPods: 110
    enableAutoScaling: false
    minCount: 1
    maxCount: 5
  }
]
param networkProfile = {
  loadBalancerProfile: {
    count: 0
  }
  networkPolicy: 'calico'
  podCidr: '10.244.0.0/16'
}
param storageProfile = {
  nfsCsiDriver: {
    enabled: true
  }
  smbCsiDriver: {
    enabled: true
  }
}
param licenseProfile = {
  azureHybridBenefit: 'NotApplicable'
}
param aadProfile = {
  adminGroupObjectIDs: [
    '00000000-0000-0000-0000-000000000001'
  ]
  enableAzureRBAC: false
  tenantID: '00000000-0000-0000-0000-000000000000'
}
param arcAgentProfile = {
  agentAutoUpgrade: 'Enabled'
}
param oidcIssuerProfile = {
  enabled: false
}
param securityProfile = {
  workloadIdentity: {
    enabled: false
  }
}
