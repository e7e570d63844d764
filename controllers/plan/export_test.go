package plan

// Section is a table as docs/rules.md shows it.
type Section struct {
	Name, About string
	Rules       []string
}

// Sections lists the tables in order of precedence.
func Sections() []Section {
	var all []Section
	for _, t := range tables {
		s := Section{Name: t.name, About: t.about}
		for _, r := range t.rules {
			s.Rules = append(s.Rules, r.name)
		}
		all = append(all, s)
	}
	return all
}
