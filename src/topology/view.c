#include "topology/view.h"

#include <string.h>

#include "base/err.h"
#include "base/mem.h"

struct topology_view *topology_view_new(size_t n)
{
    struct topology_view *view = mem_new(sizeof *view);
    atomic_init(&view->refs, 1);
    view->clusters = mem_new_array(n, sizeof *view->clusters);
    view->n_clusters = n;
    return view;
}

struct topology_view *topology_view_ref(struct topology_view *view)
{
    atomic_fetch_add_explicit(&view->refs, 1, memory_order_relaxed);
    return view;
}

static void free_cluster(struct cluster_view *cluster)
{
    for (size_t i = 0; i < cluster->n_nodes; i++) {
        mem_free(cluster->nodes[i].name);
        mem_free(cluster->nodes[i].host);
        gauge_unref(cluster->nodes[i].gauge);
    }
    mem_free(cluster->nodes);
    mem_free(cluster->name);
    mem_free(cluster->host);
    mem_free(cluster->detail);
}

void topology_view_unref(struct topology_view *view)
{
    if (view == NULL || atomic_fetch_sub_explicit(&view->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < view->n_clusters; i++)
        free_cluster(&view->clusters[i]);
    mem_free(view->clusters);
    mem_free(view);
}

const struct cluster_view *topology_view_find(const struct topology_view *view, const char *cluster)
{
    for (size_t i = 0; view != NULL && i < view->n_clusters; i++) {
        if (strcmp(view->clusters[i].name, cluster) == 0)
            return &view->clusters[i];
    }
    return NULL;
}

void cluster_view_error(const struct cluster_view *cluster, struct err *err)
{
    err_set(err, SQLSTATE_CANNOT_CONNECT_NOW, "cluster \"%s\" has no primary", cluster->name);
    err_detail(err, "%s", cluster->detail);
    err_hint(err, "SHOW NODES on the console has the state of each node.");
}
