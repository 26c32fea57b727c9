/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Units of the service manager, asked for over the bus (org.freedesktop.systemd1(5)) without blocking: scopes for processes that exist, stops and restarts of units. Only where PID 1 is systemd. */

#include "base/auto.h"
#include "base/error.h"
#include "base/pidref.h"
#include <stdbool.h>

typedef struct Units Units;
typedef struct UnitJob UnitJob;

bool units_are_here(void); /* sd_booted(3) */
Units *units_new(sd_bus *bus, sd_event *event);
void units_free(Units *units); /* forgets every job */
sd_bus *units_bus(Units *units); /* borrowed, like the next */
sd_event *units_event(Units *units);

typedef struct ScopePlan {
        const char *name; /* conbus-….scope */
        const char *description, *slice;
        const char *mount; /* a path that must stay mounted until the scope has been stopped */
        const PidRef *process; /* the first one; not reaped */
        guint64 stop_usec; /* TimeoutStopUSec: between the signals when the manager itself has to stop it; UINT64_MAX: what the manager gives any unit, since a scope that were waited for without end would keep a machine from going down when the service is not there any more */
        GVariant *properties; /* a(sv) from the caller, or NULL */
} ScopePlan;

/* Exactly once, never before the function that began it has returned; error NULL: done. UnitFailed with what the manager said. */
typedef void (*UnitDone)(const GError *error, void *userdata);

/* StartTransientUnit. The process is handed over by its pidfd where the manager takes one (systemd 255), else by its number, which an unreaped child keeps. Stopped at shutdown only after conbus.service (conbus-containers.target is between them), which stops what runs in it in the right order. */
UnitJob *units_start_scope(Units *units, const ScopePlan *plan, UnitDone done, void *userdata);
/* StopUnit, and waits until the unit is gone from the manager, so that its name can be taken again. A unit that is not there is no error. */
UnitJob *units_stop_scope(Units *units, const char *name, UnitDone done, void *userdata);
/* StartUnit, StopUnit or RestartUnit of a service, done when the job is. A start that somebody asks for does not fail because others came shortly before (StartLimitBurst=): that count begins anew. ManagedByUnit when the manager takes no such job, UnitFailed when the job fails. */
typedef enum ServiceJob { SERVICE_JOB_START, SERVICE_JOB_STOP, SERVICE_JOB_RESTART } ServiceJob;
UnitJob *units_run_service(Units *units, ServiceJob job, const char *name, UnitDone done, void *userdata);
void unit_job_forget(UnitJob *job); /* its effect goes on, done is not called */

/* Does the machine go down, and how long may a service of this name take to stop (usec, UINT64_MAX for ever)? Exactly one call of done, not before this has returned; a manager that cannot be asked says no. Nothing while another question waits for its answer. */
typedef void (*UnitsShutdown)(bool goes_down, guint64 stop_usec, void *userdata);
void units_ask_shutdown(Units *units, const char *service, UnitsShutdown done, void *userdata);

/* The mount unit of an absolute path (systemd.unit(5), escaping). */
char *units_mount_of_path(const char *path) G_GNUC_WARN_UNUSED_RESULT;
/* "/a.slice/a-b.slice" of "a-b.slice" (systemd.slice(5)). */
char *units_cgroup_of_slice(const char *slice) G_GNUC_WARN_UNUSED_RESULT;
/* The last slice and the first scope or service in the path of a control group, or "". */
char *units_slice_of_cgroup(const char *cgroup) G_GNUC_WARN_UNUSED_RESULT;
char *units_unit_of_cgroup(const char *cgroup) G_GNUC_WARN_UNUSED_RESULT;
