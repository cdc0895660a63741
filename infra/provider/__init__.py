"""The plugin process: Pulumi's protocol on one side, one file per resource kind on the other."""
