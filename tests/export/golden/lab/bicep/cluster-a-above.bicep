// azlocal export made this; what it says comes from the stack's files. Export again instead of editing.

resource cluster 'Microsoft.Kubernetes/connectedClusters@2024-01-01' existing = {
  name: 'lab-a'
}

resource extension0 'Microsoft.KubernetesConfiguration/extensions@2023-05-01' = {
  scope: cluster
  name: 'arcnetworking'
  properties: {
    extensionType: 'microsoft.arcnetworking'
    releaseTrain: 'Stable'
    autoUpgradeMinorVersion: true
    configurationSettings: {
      k8sRuntimeFpaObjectId: '00000000-0000-0000-0000-000000000002'
    }
    scope: {
      cluster: {
        releaseNamespace: 'kube-system'
      }
    }
  }
  identity: {
    type: 'SystemAssigned'
  }
}

resource loadBalancer 'Microsoft.KubernetesRuntime/loadBalancers@2024-03-01' = {
  scope: cluster
  name: 'services'
  properties: {
    addresses: [
      '10.220.32.47-10.220.32.49'
    ]
    advertiseMode: 'ARP'
  }
  dependsOn: [
    extension0
  ]
}
