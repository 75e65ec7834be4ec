import starlette.applications as sa
def build(): return sa.Starlette()
application: "sa.Starlette" = sa.Starlette(debug=True)
