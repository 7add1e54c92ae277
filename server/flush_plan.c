/* server/flush_plan.c: see flush_plan.h. */
#include "server/flush_plan.h"

void
flush_plan_init(struct flush_plan *plan)
{
	lock_init(&plan->lock, LOCK_CLUSTER);
	plan->order = plan->due = 0;
}

void
flush_plan_fini(struct flush_plan *plan)
{
	lock_fini(&plan->lock);
}

bool
flush_plan_hear(struct flush_plan *plan, uint64_t order, uint64_t now, uint64_t milliseconds)
{
	bool news;

	lock_take(&plan->lock);
	news = order > plan->order;
	if (news) {
		plan->order = order;
		plan->due = milliseconds > 0 ? now + milliseconds : 0;
	}
	lock_drop(&plan->lock);
	return news;
}

uint64_t
flush_plan_tell(struct flush_plan *plan, uint64_t now, uint64_t *milliseconds)
{
	uint64_t order;

	lock_take(&plan->lock);
	order = plan->order;
	if (plan->due == 0)
		*milliseconds = 0;
	else
		*milliseconds = plan->due > now ? plan->due - now : 1;
	lock_drop(&plan->lock);
	return order;
}

bool
flush_plan_due(struct flush_plan *plan, uint64_t now, uint64_t *order)
{
	bool due;

	lock_take(&plan->lock);
	due = plan->due != 0 && now >= plan->due;
	*order = plan->order;
	lock_drop(&plan->lock);
	return due;
}

bool
flush_plan_done(struct flush_plan *plan, uint64_t order)
{
	bool done;

	lock_take(&plan->lock);
	done = plan->order == order && plan->due != 0;
	if (done)
		plan->due = 0;
	lock_drop(&plan->lock);
	return done;
}
