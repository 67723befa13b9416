# Rules of a team over a plan: conftest test --policy examples/policies plan.json
package main

import rego.v1

allowed_hosts := {"shop.example"}

approved_people_max := 10000

deny contains message if {
	some one in input.messages
	some host in one.link_hosts
	not host in allowed_hosts
	message := sprintf("message %s leads to %s", [one.name, host])
}

deny contains message if {
	some one in input.deliveries
	one.action in {"send", "schedule", "update"}
	too_many(one.people)
	message := sprintf("%s reaches more than %d people", [one.address, approved_people_max])
}

deny contains message if {
	some one in input.removed
	one.action == "prune"
	message := sprintf("delivery %s is pruned: ask the owner of the account", [one.name])
}

too_many(people) if people.high > approved_people_max

too_many(people) if people.high == null

too_many(people) if people == null
