package corpus

func exfatFamily() *Family { return &Family{Name: "exfat"} }
