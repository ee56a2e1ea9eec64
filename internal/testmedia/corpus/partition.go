package corpus

func partitionFamily() *Family { return &Family{Name: "partition"} }
